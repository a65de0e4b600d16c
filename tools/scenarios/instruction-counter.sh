# SPDX-License-Identifier: GPL-2.0
# The machine counts as many instructions as a loop of known length has.
#
# Nothing of the driver is in it, so it is tried with one of them only.
# drivers: rust
# count: instructions

load_driver
for length in 1 10 1000 1234567 20000000 7; do
	expect "a loop of $length" $length apcount loop $length
done
