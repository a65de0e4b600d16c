# SPDX-License-Identifier: GPL-2.0
# The status of a queue is unassigned, assigned or in use.

status() { cat $ap/devices/"$1"/status; }

give_to_vfio_ap "1 2" ""
load_driver
expect "of no mdev" unassigned status 01.0001
mdev A
assign A adapter 1
expect "adapter assigned, but not the domain" unassigned status 01.0001
assign A domain 1
expect "of an mdev" assigned status 01.0001
vm_open A
expect "of a guest" "in use" status 01.0001
expect "beside it" unassigned status 01.0002
assign A domain 2
expect "plugged" "in use" status 01.0002
unbind 01.0001
expect "of an mdev, but filtered" assigned status 01.0002
bind 01.0001
expect "plugged again" "in use" status 01.0002
unassign A domain 2
expect "unassigned" unassigned status 01.0002
vm_close A
expect "closed" assigned status 01.0001
