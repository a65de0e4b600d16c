// SPDX-License-Identifier: GPL-2.0
// A WARN before Linux 7.0. An entry of the table of warnings has no format there.
concat!(
    "0: mc 0,0\n",
    ".section __bug_table,\"aw\"\n",
    "1: .long 0b-.\n",
    ".long {file}-.\n",
    ".short {line},{flags}\n",
    ".org 1b+{size}\n",
    ".previous"
)
