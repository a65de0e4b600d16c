# SPDX-License-Identifier: GPL-2.0
# Removing a mediated device in use waits for its user; the user is asked to close it, and its guest
# has no queues.
#
# The C driver clears the guest's masks in KVM but not its own copy. The status of queues is wrong
# then, and the next change of the host configuration plugs all of them in again.
# machine: apm = 0-2

give_to_vfio_ap "1 2 3" ""
load_driver
mdev A
assign A adapter 1 3 domain 1
vm_open A
vm A set-irq req eventfd
remove_mdev A &
remover=$!
asked() { [ "$(vm A events)" != "req=0 cfg=0" ]; }
wait_until "the user is asked" asked
kill -0 $remover || fail "the device was removed while in use"
if_c expect "masks" clear masks A
if_rust expect "masks" "apm=none aqm=none adm=none" masks A
if_c expect "status of 01.0001" "in use" cat $ap/devices/01.0001/status
if_rust expect "status of 01.0001" assigned cat $ap/devices/01.0001/status
machine "apm + 3"
scan
if_c expect "masks after a scan" "apm=1,3 aqm=1 adm=none" masks A
if_rust expect "masks after a scan" "apm=none aqm=none adm=none" masks A
vm_close A
wait $remover
[ ! -e "$mdevs/$(uuid A)" ] || fail "the device is still there"
expect "status then" unassigned cat $ap/devices/01.0001/status
