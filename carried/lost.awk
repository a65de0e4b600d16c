# SPDX-License-Identifier: GPL-2.0
# lost.awk DROPPED RELOCATIONS: check that the linker has dropped each function of the kernel crate that
# has an entry in the table of warnings. The linker has dropped these entries.

# A line of the linker: "removing unused section '.text.NAME' in file 'rust/kernel.o'".
FNR == NR {
	split($0, quoted, "'")
	if (/removing unused section/ && quoted[4] ~ /rust\/kernel\.o$/)
		dropped[quoted[2]] = 1
	next
}

# A line of objdump has an offset, a type, and a section with an addend.
$2 ~ /^R_390_PC32/ && $3 ~ /^\.text/ {
	sub(/\+0x[0-9a-f]*$/, "", $3)
	if (!($3 in dropped)) {
		print "error: a warning would be lost, that of " $3 >"/dev/stderr"
		lost = 1
	}
}

END { exit lost }
