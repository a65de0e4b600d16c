# SPDX-License-Identifier: GPL-2.0
# What the bindings of the crates are edited by, beside what the kernel does to them.

# Constants that are not what bindgen takes for one.
{ sub(/pub const RUST_CONST_HELPER_/, "pub const ") }

# What passes %pA on; see printing.c.
match($0, /pub fn (_printk|_dev_printk|seq_printf)\(/) {
	name = substr($0, RSTART + 7, RLENGTH - 8)
	printf "    #[link_name = \"carried_%s\"]\n", name
	replaced++
}

{ print }

END {
	if (replaced != 3) {
		print "error: " replaced + 0 " of 3 functions that print were found in the bindings" >"/dev/stderr"
		exit 1
	}
}
