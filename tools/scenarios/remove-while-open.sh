# SPDX-License-Identifier: GPL-2.0
# Who removes a mediated device that is in use has to wait for its user, who is
# asked to give it back.

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
vm_open A
vm A set-irq req eventfd
remove_mdev A &
remover=$!
asked() { [ "$(vm A events)" != "req=0 cfg=0" ]; }
wait_until "the user is asked" asked
kill -0 $remover || fail "the device was removed while in use"
vm_close A
wait $remover
[ ! -e "$mdevs/$(uuid A)" ] || fail "the device is still there"
expect "status of 01.0001" unassigned cat $ap/devices/01.0001/status
