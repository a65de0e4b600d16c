# SPDX-License-Identifier: GPL-2.0
# The machine counts exactly the instructions of a loop of known length.
#
# The drivers are not involved, and one of them suffices.
# drivers: rust
# count: instructions

load_driver
for length in 1 10 1000 1234567 20000000 7; do
	expect "a loop of $length" $length apcount loop $length
done
