# SPDX-License-Identifier: GPL-2.0
# What was filtered for a missing queue comes back when the queue is bound.
#
# B2, C4. With a guest: the adapter is plugged by one commit.

give_to_vfio_ap "0 1" ""
load_driver
unbind 01.0001
mdev A
assign A adapter 0 1 domain 0 1
vm_open A
expect "guest matrix with a hole" "00.0000 00.0001" guest_matrix A
expect "masks with a hole" "apm=0 aqm=0-1 adm=none" masks A
expect_commits 1 A bind 01.0001
expect "guest matrix without" "00.0000 00.0001 01.0000 01.0001" guest_matrix A
expect "masks without" "apm=0-1 aqm=0-1 adm=none" masks A
