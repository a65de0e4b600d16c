# SPDX-License-Identifier: GPL-2.0
# Queues that are assigned during a long scan reach the guest at once if the scan does not concern
# them.
#
# Queues that are bound during a scan reach the guest by the commit at its end.
# timeout: 90

give_to_vfio_ap "0 1 2" ""
load_driver
unbind 02.0002
mdev A
assign A adapter 1 domain 1
vm_open A group --run 1
long_scan 00.0001 "adm - 3"
assign A domain 2
expect "masks with domain 2" "apm=1 aqm=1-2 adm=none" masks A
expect "the guest has" "01.0001 01.0002" vm A guest queues
assign A adapter 2
bind 02.0002
if_rust expect "masks before the end" "apm=1 aqm=1-2 adm=none" masks A
if_c expect "masks before the end" "apm=1-2 aqm=1-2 adm=none" masks A
end_scan
expect "masks after the scan" "apm=1-2 aqm=1-2 adm=none" masks A
