# SPDX-License-Identifier: GPL-2.0
# Queues that are assigned, unassigned, bound, unbound or configured while QEMU runs reach or leave
# its guest at once.
# image: clients
# memory: 1024
# timeout: 120

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1
qemu A group
assign A adapter 2 domain 2 control_domain 1
expect "masks with adapter 2 and domain 2" "apm=1-2 aqm=1-2 adm=1" qemu_masks A
count_from_zero
unassign A adapter 1
expect "masks without adapter 1" "apm=2 aqm=1-2 adm=1" qemu_masks A
expect "resets of 01.0001" 1 zapqs 01.0001
expect_error EBUSY ktry write $ap/apmask +2
unbind 02.0001
expect "masks without adapter 2" "apm=none aqm=1-2 adm=1" qemu_masks A
bind 02.0001
expect "masks with adapter 2 again" "apm=2 aqm=1-2 adm=1" qemu_masks A
machine "aqm - 1"
scan
expect "masks without domain 1" "apm=2 aqm=2 adm=1" qemu_masks A
expect "the guest does not care" '{"status": "prelaunch", "running": false}' qmp A query-status
