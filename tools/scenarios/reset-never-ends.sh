# SPDX-License-Identifier: GPL-2.0
# An endless reset delays neither its user without bound, nor other guests, nor a scan, nor the
# unloading of the driver.
#
# The C driver waits for it while it holds the locks of all guests.
# drivers: rust
# timeout: 60

give_to_vfio_ap "1 2" ""
load_driver
mdev A
mdev B
assign A adapter 1 domain 1 2
assign B adapter 2 domain 1
vm_open A
vm_open B
machine "queue 01.0001 reset-polls forever"
began=$(seconds)
unassign A adapter 1 &
writer=$!
wait_until "the reset has begun" sh -c "[ \"\$(apctl counters 01.0001 zapq)\" -ge 2 ]"
assign B domain 2
expect "the other guest meanwhile" "apm=2 aqm=1-2 adm=none" masks B
machine "apm - 3"
scan
[ ! -e $ap/devices/card03 ] || fail "the scan did not see that adapter 3 is gone"
kill -0 $writer || fail "the writer did not wait for the reset"
wait $writer
took=$(($(seconds) - began))
[ $took -ge 1 ] || fail "the writer gave up early"
[ $took -le 4 ] || fail "the writer was held up for $took s"
assign A adapter 1
expect "not passed on" ".0001 .0002" guest_matrix A
dmesg_has "still waiting for reset of queue 01.0001"
machine "queue 01.0001 reset-polls 1"
came_back() { [ "$(masks A)" = "apm=1 aqm=1-2 adm=none" ]; }
wait_until "it ends after all, and the queue comes back" came_back
machine "queue 01.0001 reset-polls forever"
