#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Build Documentation/ as HTML, and take any warning for an error: docs.sh [DIR]
. "$(dirname "$0")/lib.sh"

out=${1:-$cache/docs}
"$testbed/toolchain.sh" >/dev/null
"$testbed/enter" sphinx-build -E -q -W --keep-going -b html "$repo/Documentation" "$out"
say "documentation: $out/index.html"
