# SPDX-License-Identifier: GPL-2.0
# The limits of adapters and domains are those of the machine.
# machine: limits apxa=on na=20 nd=30

give_to_vfio_ap "20 21" ""
load_driver
mdev A
assign A adapter 20 domain 30 control_domain 30
expect_error ENODEV assign A adapter 21
expect_error ENODEV assign A domain 31
expect_error ENODEV assign A control_domain 31
# ap_config with one bit in each mask.
config() {
	for _id; do
		printf ",0x%0$((_id / 4))d%x%0$((63 - _id / 4))d" 0 $((8 >> _id % 4)) 0
	done | cut -c2-
}
expect_error ENODEV set_attr A ap_config "$(config 21 30 30)"
expect_error ENODEV set_attr A ap_config "$(config 20 31 30)"
expect_error ENODEV set_attr A ap_config "$(config 20 30 31)"
expect "matrix" "14.001e" matrix A
set_attr A ap_config "$(config 20 29 30)"
expect "matrix" "14.001d" matrix A
