# SPDX-License-Identifier: GPL-2.0
# All scenarios that one machine can be made for leave nothing behind.
#
# For a debug kernel, which takes minutes to boot and to look for leaks. Those that need another
# machine from the beginning, or expect trouble in the kernel, have to be run alone. Those that look
# at a tool of ours take very long there, and do nothing with the driver that others do not.
# killed-while-waiting has a second for what takes longer there. After stress the bus refuses masks,
# as it counts a driver_override for ever whose queue has gone; stress has a machine of its own.
#
# It takes long: --set FROM=NAME goes on where another run was stopped, and --set ONLY=NAME,NAME
# leaves out all others.
#
# Last come those that take memory away from a user: lockdep reports once only.
# drivers: rust
# kernel: debug
# cpus: 3
# timeout: 300

# is_for_this_machine FILE
is_for_this_machine() {
	! sed '/^[^#]/,$d' "$1" | grep -qE \
		'^# (machine: (none|limits)|count:|kernel:|image:|drivers: c$|expect-kernel(\[rust\])?:)'
}

# is_left_out NAME: it is none, or as said above.
is_left_out() {
	case $1 in
	lib* | measure | demo | in-one-machine | apmap* | killed-while-waiting | stress) return 0 ;;
	*) return 1 ;;
	esac
}

IFS=,
for name in ${ONLY:-}; do
	file=/scenarios/$name.sh
	[ -e "$file" ] && ! is_left_out "$name" && is_for_this_machine "$file" || fail "$name is none of them"
done
unset IFS
failed=
skipping=${FROM:-}
# shellcheck disable=SC2046 # several files
set -- $(grep -L unmap /scenarios/*.sh) $(grep -l unmap /scenarios/*.sh)
for file; do
	name=${file##*/}
	name=${name%.sh}
	! is_left_out "$name" || continue
	[ "$name" != "$skipping" ] || skipping=
	[ -z "$skipping" ] || continue
	case ,${ONLY:-$name}, in *,"$name",*) ;; *) continue ;; esac
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
