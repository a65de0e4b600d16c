# SPDX-License-Identifier: GPL-2.0
# A queue is reset before a guest gets it, whoever had it before.
#
# The C driver passes a queue on as it gets it.

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
vm_open A
unbind 01.0001
expect "without it" "apm=none aqm=1 adm=none" masks A
count_from_zero
machine "queue 01.0001 reset-polls 3"
expect_commits 1 A bind 01.0001
if_rust expect "resets" 1 zapqs 01.0001
if_c expect "resets" 0 zapqs 01.0001
expect "with it" "apm=1 aqm=1 adm=none" masks A
