# SPDX-License-Identifier: GPL-2.0
# On a machine without QCI nothing can be passed on.
# machine: limits qci=off

mdev_with A "1 63" "1 15"
expect_error ENODEV assign A adapter 64
expect_error ENODEV assign A domain 16
vm_open A
expect "matrix" "01.0001 01.000f 3f.0001 3f.000f" matrix A
expect "guest matrix" "" guest_matrix A
