# SPDX-License-Identifier: GPL-2.0
# What was filtered for a missing queue comes back when its domain leaves the host
# configuration.
#
# C3, C4. The C driver does not look again when something leaves: known difference.

give_to_vfio_ap "0 1" ""
load_driver
unbind 01.0001
mdev A
assign A adapter 0 1 domain 0 1
vm_open A
expect "guest matrix with a hole" "00.0000 00.0001" guest_matrix A
machine "aqm - 1"
expect_commits 1 A scan
if_rust expect "guest matrix without" "00.0000 01.0000" guest_matrix A
if_rust expect "masks without" "apm=0-1 aqm=0 adm=none" masks A
if_c expect "guest matrix without" "00.0000" guest_matrix A
if_c expect "masks without" "apm=0 aqm=0 adm=none" masks A
