#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Build Documentation/ as HTML, into the cache or into DIR: docs.sh [DIR]. Warnings are errors.
. "$(dirname "$0")/lib.sh"

out=$(realpath -m "${1:-$cache/docs}")
"$testbed/toolchain.sh" >/dev/null
# enter makes this directory accessible inside the toolchain root.
export VM_INTO=$out
"$testbed/enter" sphinx-build -E -q -W --keep-going -b html "$repo/Documentation" "$out"
say "documentation: $out/index.html"
