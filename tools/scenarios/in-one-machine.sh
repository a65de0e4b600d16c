# SPDX-License-Identifier: GPL-2.0
# All scenarios that can share a machine run in it one after the other and leave nothing behind.
#
# This serves kernels that take long to boot; a debug kernel takes minutes for that and to search for
# leaks. Scenarios that
# need another machine, or expect trouble in the kernel, run alone. Scenarios about the tools take
# very long there and are left out. killed-while-waiting is left out because its limit of one second
# is too short there. stress, recreated-queue-of-the-host and unbind-in-a-scan have machines of their
# own because the bus refuses masks after them: it counts a driver_override forever if its queue has
# gone.
#
# It takes about an hour. --set FROM=NAME resumes a run at a scenario, and --set ONLY=NAME,NAME runs
# only some.
#
# Scenarios that take memory away from a user come last, because lockdep reports only once.
# drivers: rust
# kernel: debug debian
# cpus: 3
# timeout: 300

# is_for_this_machine FILE: succeed if the scenario can run in this machine.
is_for_this_machine() {
	! sed '/^[^#]/,$d' "$1" | grep -qE \
		'^# (machine: (none|limits)|count:|kernel:|image:|drivers: c$|expect-kernel(\[rust\])?:)'
}

# is_left_out NAME: succeed if NAME is no scenario, or is left out for a reason above.
is_left_out() {
	case $1 in
	lib* | measure | demo | in-one-machine | apmap* | killed-while-waiting) return 0 ;;
	stress | recreated-queue-of-the-host | unbind-in-a-scan) return 0 ;;
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
		# The name of the scenario precedes its kernel messages.
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
