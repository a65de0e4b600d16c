# SPDX-License-Identifier: GPL-2.0
# A machine without APXA has 64 adapters and 16 domains.
# machine: limits apxa=off

give_to_vfio_ap "1 63" ""
load_driver
mdev A
assign A adapter 63 domain 15 control_domain 15
expect_error ENODEV assign A adapter 64
expect_error ENODEV assign A domain 16
expect_error ENODEV assign A control_domain 16
expect_error ENODEV unassign A adapter 64
expect "matrix" "3f.000f" matrix A
assign A adapter 1 domain 1
vm_open A
expect "masks" "apm=1 aqm=1 adm=none" masks A
