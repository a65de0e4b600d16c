# SPDX-License-Identifier: GPL-2.0
# apmap --watch draws again when something happens, by the kernel's word alone.

# seen TEXT: the last that apmap has written has it.
seen() { tail -n 1 /tmp/seen | grep -q "$1"; }

give_to_vfio_ap "1 2 3" ""
load_driver
apmap --watch --interval 3600 --json >/tmp/seen &
apmap=$!
wait_until "apmap has written" seen '"queue":"01.0001","adapter":1,"domain":1,"state":"free"'
unbind 01.0001
wait_until "it has seen unbinding" seen '"queue":"01.0001","adapter":1,"domain":1,"state":"unbound"'
machine "apm - 2"
scan
wait_until "it has seen an adapter go" seen '"host_configuration":{"adapters":\[0,1,3\]'
mdev A
wait_until "it has seen an mdev come" seen "$(uuid A)"
machine adapter 3 state deconfigured
scan
wait_until "it has seen deconfiguration" seen '"adapter":3,"type":"CEX7C","configured":false'
kill $apmap
