# SPDX-License-Identifier: GPL-2.0
# A guest that has lost an adapter, and whose mdev was then removed and created again: only kernel
# messages remember the loss.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
vm_open A
unbind 01.0001
vm_close A
remove_mdev A
sleep 1
mdev A
assign A adapter 1 2 domain 1
vm_open A
