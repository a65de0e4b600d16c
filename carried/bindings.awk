# SPDX-License-Identifier: GPL-2.0
# Edits the bindings of the carried crates.

# The headers define these constants with a prefix, because bindgen ignores the macros.
{ sub(/pub const RUST_CONST_HELPER_/, "pub const ") }

# printing.c replaces the functions that get %pA from the crates.
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
