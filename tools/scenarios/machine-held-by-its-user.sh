# SPDX-License-Identifier: GPL-2.0
# A user that holds the lock of its virtual machine delays neither changes of other guests nor a
# scan.
#
# A loses its queue. The commit needs the lock of A's virtual machine, which A holds. The C driver
# delays everybody until A releases the lock.
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
