# SPDX-License-Identifier: GPL-2.0
# Malformed numbers and numbers beyond the limits of the machine are refused and change nothing.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1 control_domain 1
for verb in assign unassign; do
	for kind in adapter domain control_domain; do
		file=${verb}_$kind
		for text in text "" "1 2" "1,2" "-1" "+-1" "0x" "1x" "0xg" "."; do
			expect_error EINVAL set_attr A $file "$text"
		done
		expect_error ERANGE set_attr A $file 18446744073709551616
		expect_error ENODEV set_attr A $file 256
		expect_error ENODEV set_attr A $file 0x100
		expect_error ENODEV set_attr A $file 18446744073709551615
	done
done
expect "matrix" "01.0001" matrix A
expect "guest matrix" "01.0001" guest_matrix A
expect "control domains" "0001" control_domains A

# Numbers may be decimal, hexadecimal, octal or have a plus.
for text in 2 0x2 02 0X2 +2 002; do
	set_attr A assign_adapter "$text"
	expect "matrix with adapter '$text'" "01.0001 02.0001" matrix A
	set_attr A unassign_adapter "$text"
done
