#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Record the hosts that the tests look at: record.sh [NAME]...
#
# hosts/NAME.sh is a scenario that brings an emulated machine into some state;
# what apmap reads there is kept as hosts/NAME.json. With `record_as=USER` in it,
# it is what that user may read.
set -euo pipefail
cd "$(dirname "$0")"
tools=$(cd ../.. && pwd)

if [ $# = 0 ]; then
	mapfile -t names < <(basename -s .sh hosts/*.sh)
	set -- "${names[@]}"
fi
VM_SCENARIOS=$(mktemp -d "$PWD/record.XXXXXX") # where the harness can see it
export VM_SCENARIOS
trap 'rm -rf "$VM_SCENARIOS"' EXIT
cp "$tools"/scenarios/{lib.sh,default.machine} "$VM_SCENARIOS"

for name; do
	(
		cat "hosts/$name.sh"
		user=$(sed -n 's/^record_as=//p' "hosts/$name.sh")
		record='apmap record'
		[ -z "$user" ] || record="su -s /bin/sh $user -c '$record'"
		printf 'echo\necho @RECORDING\n%s\necho @RECORDED\n' "$record"
	) >"$VM_SCENARIOS/$name.sh"
	driver=$(sed -n 's/^# drivers: //p' "hosts/$name.sh")
	"$tools/testbed/vm" run "$name" --driver "${driver:-rust}" >"$VM_SCENARIOS/console"
	sed -n '/^@RECORDING/,/^@RECORDED/{/^@/!p}' "$VM_SCENARIOS/console" >"hosts/$name.json"
done
