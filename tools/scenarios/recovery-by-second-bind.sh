# SPDX-License-Identifier: GPL-2.0
# With two queues missing, an adapter comes back when the last of them is bound.
#
# B2: the guest gets the adapter only if all queues of its adapter with the
# guest's domains are there.

give_to_vfio_ap "0 1" ""
load_driver
unbind 01.0000
unbind 01.0001
mdev A
assign A adapter 0 1 domain 0 1
vm_open A
expect_commits 0 A bind 01.0000
expect "one is still missing" "apm=0 aqm=0-1 adm=none" masks A
expect_commits 1 A bind 01.0001
expect "none is missing" "apm=0-1 aqm=0-1 adm=none" masks A
