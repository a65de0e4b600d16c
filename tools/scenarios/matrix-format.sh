# SPDX-License-Identifier: GPL-2.0
# The contents of matrix and guest_matrix are correct byte for byte.

# lines NAME ATTRIBUTE: with a visible end of line.
lines() { attr "$1" "$2" | tr '\n' '%'; }

give_to_vfio_ap "0 1 2 3 0xab" ""
load_driver
mdev A
expect "nothing" '' lines A matrix
expect "nothing, for the guest" '' lines A guest_matrix
assign A adapter 1
expect "only an adapter" '01.%' lines A matrix
expect "only an adapter, for the guest" '01.%' lines A guest_matrix
assign A domain 2
expect "a queue" '01.0002%' lines A matrix
expect "a queue, for the guest" '01.0002%' lines A guest_matrix
unassign A adapter 1
expect "only a domain" '.0002%' lines A matrix
expect "only a domain, for the guest" '.0002%' lines A guest_matrix
assign A domain 0 adapter 3 0
expect "by adapter, then by domain" '00.0000%00.0002%03.0000%03.0002%' lines A matrix
assign A control_domain 0 0xff
expect "control domains" '0000%00ff%' lines A control_domains
assign A adapter 0xab domain 0xcd
last_line() { lines A matrix | sed 's/.*%\(.*%\)$/\1/'; }
expect "hexadecimal" 'ab.00cd%' last_line
