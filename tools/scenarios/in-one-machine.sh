# SPDX-License-Identifier: GPL-2.0
# All scenarios that one machine can be made for leave nothing behind.
#
# For a debug kernel, which takes minutes to boot and to look for leaks. Those that need another
# machine from the beginning, or expect trouble in the kernel, have to be run alone. Those that look
# at a tool of ours take very long there, and do nothing with the driver that others do not.
# drivers: rust
# kernel: debug
# cpus: 3
# timeout: 300

# is_for_this_machine FILE
is_for_this_machine() {
	! sed '/^[^#]/,$d' "$1" | grep -qE \
		'^# (machine: (none|limits)|count:|kernel:|image:|drivers: c$|expect-kernel(\[rust\])?:)'
}

failed=
for file in /scenarios/*.sh; do
	name=${file##*/}
	name=${name%.sh}
	case $name in lib* | measure | demo | in-one-machine | apmap*) continue ;; esac
	if is_for_this_machine "$file"; then
		# The kernel's messages follow the name of whom they are about.
		echo "== $name"
		scenario "$name" >/tmp/out 2>&1 || true
		tail -n 1 /tmp/out
		if ! tail -n 1 /tmp/out | grep -q '^passed: '; then
			cat /tmp/out
			failed="$failed $name"
		fi
	else
		echo "== $name needs a machine of its own"
	fi
done
[ -z "$failed" ] || fail "failed:$failed"
