# SPDX-License-Identifier: GPL-2.0
# The limits of adapters and domains are those of the machine.
# machine: limits apxa=on na=20 nd=30

give_to_vfio_ap "20" ""
load_driver
mdev A
assign A adapter 20 domain 30 control_domain 30
expect_error ENODEV assign A adapter 21
expect_error ENODEV assign A domain 31
expect_error ENODEV assign A control_domain 31
expect "matrix" "14.001e" matrix A
