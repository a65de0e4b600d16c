# SPDX-License-Identifier: GPL-2.0
# A guest that has been asked to give its device back has no queue any more, and
# what is shown says so.
#
# The C driver clears the guest's masks, but not its own idea of them: status and
# guest_matrix are wrong, and the next change plugs everything in again.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1
vm_open A
vm A set-irq req eventfd
remove_mdev A &
remover=$!
asked() { [ "$(vm A events)" != "req=0 cfg=0" ]; }
wait_until "the user is asked" asked
if_c expect "masks" clear masks A
if_rust expect "masks" "apm=none aqm=none adm=none" masks A
if_c expect "status" "in use" cat $ap/devices/01.0001/status
if_rust expect "status" assigned cat $ap/devices/01.0001/status
vm_close A
wait $remover
