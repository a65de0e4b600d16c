# SPDX-License-Identifier: GPL-2.0
# Closing a device drops the eventfds of its user.
#
# The C driver keeps the eventfds of a user that has not removed them.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1
vm_open A
vm A set-irq cfg eventfd
vm A set-irq req eventfd
vm_kill A
vm_open A
assign A adapter 2
expect "for the next user" "req=0 cfg=0" vm A events
remove_mdev A &
remover=$!
said() { dmesg | grep -q "$1"; }
if_rust wait_until "nobody can be asked" said "No device request registered, blocked until released by user"
if_c wait_until "somebody who has gone is asked" said "Relaying device request to user"
vm_close A
wait $remover
