#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Format all Rust code. With --check, only print the differences.
. "$(dirname "$0")/lib.sh"

kernel=$("$testbed/kernel.sh")
cd "$repo"
mapfile -t module < <(module_sources)
"$testbed/enter" rustfmt --config-path "$kernel/.rustfmt.toml" "$@" "${module[@]}"
cd tools
"$testbed/enter" cargo fmt "$@"
