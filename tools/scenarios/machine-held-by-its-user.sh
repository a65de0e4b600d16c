# SPDX-License-Identifier: GPL-2.0
# Who holds the lock of his virtual machine holds up neither what the administrator does with other guests,
# nor a scan of the bus.
#
# A's queue is taken away: the commit needs the lock of A's machine, which A holds. The C driver keeps everybody
# waiting until A lets go.
# drivers: rust

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1
mdev B
assign B adapter 2 domain 1
vm_open A
vm_open B
vm A hold machine
echo 1 >"$mdevs/$(uuid A)/unassign_adapter" &
own=$!
wait_until "the commit waits" asleep $own
echo 3 >"$mdevs/$(uuid B)/assign_control_domain" &
other=$!
ends_within 2 "B's assign" $other
expect "masks of B" "apm=2 aqm=1 adm=3" masks B
machine "adm - 3"
echo 1 >$ap/scans &
scan=$!
ends_within 2 "the scan" $scan
expect "masks of B after the scan" "apm=2 aqm=1 adm=none" masks B
vm A release
wait $own
expect "masks of A" "apm=none aqm=1 adm=none" masks A
