// SPDX-License-Identifier: GPL-2.0
// A WARN as it is before 7.0: an entry of the table of them has no format.
concat!(
    "0: mc 0,0\n",
    ".section __bug_table,\"aw\"\n",
    "1: .long 0b-.\n",
    ".long {file}-.\n",
    ".short {line},{flags}\n",
    ".org 1b+{size}\n",
    ".previous"
)
