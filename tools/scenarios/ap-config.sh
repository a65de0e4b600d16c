# SPDX-License-Identifier: GPL-2.0
# ap_config shows and sets all three masks at once.
#
# The C driver commits up to three times per write. It also accepts an empty third mask and trailing
# text.

# mask FIRST-WORD: 256 bits of which only the first word is not 0.
mask() { printf '0x%016x000000000000000000000000000000000000000000000000' "$1"; }

zero=$(mask 0)
bits_12=$(mask 0x6000000000000000)
bits_3=$(mask 0x1000000000000000)
bits_23=$(mask 0x3000000000000000)

give_to_vfio_ap "1 2 3" ""
load_driver
mdev A
expect "nothing" "$zero,$zero,$zero" attr A ap_config
set_attr A ap_config "$bits_12,$bits_12,$bits_3"
expect "what was written" "$bits_12,$bits_12,$bits_3" attr A ap_config
expect "matrix" "01.0001 01.0002 02.0001 02.0002" matrix A
expect "control domains" "0003" control_domains A
vm_open A
expect_commits 0 A set_attr A ap_config "$bits_12,$bits_12,$bits_3"
count_from_zero
if_rust expect_commits 1 A set_attr A ap_config "$bits_23,$bits_23,$bits_12"
if_c expect_commits 3 A set_attr A ap_config "$bits_23,$bits_23,$bits_12"
expect "masks" "apm=2-3 aqm=2-3 adm=1-2" masks A
expect "resets of 01.0001" 1 zapqs 01.0001
expect "resets of 02.0001" 1 zapqs 02.0001
expect "resets of 02.0002" 0 zapqs 02.0002

for text in text "" "$zero" "0x0g,$zero,$zero"; do
	expect_error EINVAL set_attr A ap_config "$text"
done
if_rust expect_error EINVAL set_attr A ap_config "$bits_23,$bits_23"
if_c set_attr A ap_config "$bits_23,$bits_23"
if_c set_attr A ap_config "$bits_23,$bits_23,$bits_12,"
if_rust expect_error EINVAL set_attr A ap_config "$bits_23,$bits_23,$bits_12,"
mdev B
expect_error EADDRINUSE set_attr B ap_config "$bits_3,$bits_3,$zero"
expect_error EADDRNOTAVAIL set_attr B ap_config "$(mask 0x8000000000000000),$bits_3,$zero"
expect "matrix of B" "" matrix B
expect "matrix then" "02.0002 02.0003 03.0002 03.0003" matrix A
