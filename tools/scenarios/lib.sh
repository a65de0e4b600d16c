# SPDX-License-Identifier: GPL-2.0
# The words in which scenarios are written.
#
# A scenario is run by `sh -eu` with these functions at hand: a command that
# fails ends it, and so does an expectation that is not met. When it is through,
# `finish` closes what is open, removes the mdevs and unloads the driver, so that
# each scenario also proves that this works.
#
#   the host     give_to_vfio_ap  load_driver  unload_driver  bind  unbind
#                machine  scan  count_from_zero  zapqs
#   mdevs        mdev  remove_mdev  assign  unassign  attr
#                matrix  guest_matrix  control_domains
#   guests       vm_open  vm  vm_close  masks  commits  response  pins
#                enabled_for_guests
#   expecting    expect  expect_error  expect_commits  ends_within  fail  skip
#                dmesg_has  if_c  if_rust  wait_until
#
# Those for programs from Debian are in lib-clients.sh.

ap=/sys/bus/ap
mdevs=/sys/bus/mdev/devices
parent=/sys/devices/vfio_ap/matrix
type=vfio_ap-passthrough
run=/run/vm
# The disk with programs from Debian, in the machines that have one.
clients=/dev/clients
mkdir -p $run

# ---------------------------------------------------------------- expecting ---

# fail TEXT...: the scenario has failed, and TEXT says why. (Somebody at a shell
# keeps it.)
fail() {
	echo "$*" >/run/reason
	[ -n "$SCENARIO" ] || {
		echo "failed: $*"
		return 1
	}
	exit 1
}

# skip TEXT...: the scenario does not apply here.
skip() {
	echo "$*" >/run/reason
	exit 77
}

# expect WHAT EXPECTED COMMAND...: COMMAND succeeds and prints EXPECTED.
expect() {
	_what=$1 _expected=$2
	shift 2
	if ! _actual=$("$@"); then
		fail "$_what: '$*' failed: $_actual"
		return 1
	fi
	if [ "$_actual" != "$_expected" ]; then
		printf 'not as expected: %s\n' "$_what"
		printf '  command   %s\n  expected  %s\n  actual    %s\n' "$*" \
			"$(echo "$_expected" | sed '2,$s/^/            /')" \
			"$(echo "$_actual" | sed '2,$s/^/            /')"
		fail "$_what: expected '$_expected', got '$_actual'"
		return 1
	fi
	echo "ok: $_what: ${_actual:-(empty)}"
}

# expect_error ERRNO COMMAND...: COMMAND fails with ERRNO, which is the last word
# of what it prints.
expect_error() {
	_expected=$1
	shift
	if _actual=$("$@"); then
		fail "'$*' succeeded: $_expected was expected"
		return 1
	fi
	if [ "${_actual##* }" != "$_expected" ]; then
		fail "'$*': $_expected was expected, got: $_actual"
		return 1
	fi
	echo "ok: $_expected: $*"
}

# if_c COMMAND..., if_rust COMMAND...: only with this driver. They state the
# differences that we know and want.
if_c() { [ "$DRIVER" != c ] || "$@"; }
if_rust() { [ "$DRIVER" != rust ] || "$@"; }

# dmesg_has REGEX: the kernel has said it.
dmesg_has() {
	dmesg | grep -Eq "$1" || {
		fail "no kernel message matches: $1"
		return 1
	}
	echo "ok: kernel message: $1"
}

# dmesg_has_not REGEX: the kernel has not said it.
dmesg_has_not() {
	! dmesg | grep -E "$1" || {
		fail "a kernel message matches: $1"
		return 1
	}
	echo "ok: no kernel message: $1"
}

# ------------------------------------------------------------------- the host ---

# machine COMMAND...: tell the emulated machine something; `machine help`.
machine() { apctl "$@"; }

# give_to_vfio_ap ADAPTERS DOMAINS: take them from the host's default drivers.
# A queue belongs to vfio_ap if its adapter or its domain does. Call it before
# load_driver.
give_to_vfio_ap() {
	_mask=
	for _id in $1; do _mask=$_mask,-$_id; done
	[ -z "$_mask" ] || ktry write $ap/apmask "${_mask#,}"
	_mask=
	for _id in $2; do _mask=$_mask,-$_id; done
	[ -z "$_mask" ] || ktry write $ap/aqmask "${_mask#,}"
}

# load_driver: load the driver under test, when the AP bus has done its first
# scan, and wait until every queue has found its driver.
load_driver() {
	wait_until "the AP bus has scanned" first_scan_done
	ktry insmod /lib/modules/vfio_ap.ko
	wait_until "all queues are bound" bindings_complete
}

unload_driver() { ktry rmmod vfio_ap; }

# For somebody at a shell, as it is called elsewhere. All other modules are loaded.
if [ -z "${SCENARIO:-}" ]; then
	modprobe() {
		case "$*" in
		vfio_ap) load_driver ;;
		"-r vfio_ap") unload_driver ;;
		*) command modprobe "$@" ;;
		esac
	}
fi

first_scan_done() {
	read -r _scans <$ap/scans
	[ "$_scans" -gt 0 ]
}
bindings_complete() {
	read -r _bindings <$ap/bindings
	case $_bindings in *complete*) return 0 ;; *) return 1 ;; esac
}

# seconds: since the machine was started.
seconds() {
	read -r _now _ </proc/uptime
	echo ${_now%.*}
}

# machines: how many virtual machines KVM has, but for those that another scenario has left there.
machines() {
	_machines=$(find /sys/kernel/debug/kvm -mindepth 1 -type d | wc -l)
	echo $((_machines - ${machines_left:-0}))
}

# pins: how many pages are pinned for devices.
pins() {
	_pins=0
	echo 1 >/proc/sys/vm/stat_refresh
	while read -r _name _count; do
		case $_name in
		nr_foll_pin_acquired) _pins=$((_pins + _count)) ;;
		nr_foll_pin_released) _pins=$((_pins - _count)) ;;
		esac
	done </proc/vmstat
	echo $_pins
}

# wait_until WHAT COMMAND...: poll for at most ten seconds, or as many as $patience.
wait_until() {
	_what=$1
	shift
	read -r _now _ </proc/uptime
	_until=$((${_now%.*} + ${patience:-10}))
	while [ ${_now%.*} -lt $_until ]; do
		if "$@"; then return; fi
		usleep 10000
		read -r _now _ </proc/uptime
	done
	fail "in vain: $_what"
}

# enabled_for_guests: how many queues have interruptions enabled in the machine that are for guests.
enabled_for_guests() { machine show | grep -c 'enabled: nib=.* gisa=' || :; }

# nothing_pinned: no page is pinned.
nothing_pinned() { [ "$(pins)" = 0 ]; }

# under_way QUEUE: a reset of it was begun, since the counters were reset.
under_way() { [ "$(machine counters "$1" zapq)" != 0 ]; }

# ends_within SECONDS WHAT PID: the process is gone by then.
ends_within() {
	_limit=$1 _whose=$2 _process=$3
	_began=$(seconds)
	while ! _gone "$_process"; do
		[ $(($(seconds) - _began)) -le $((_limit + 1)) ] || {
			fail "$_whose has not ended within $_limit s"
			return 1
		}
		usleep 10000
	done
	echo "ok: $_whose has ended within $_limit s"
}

# long_scan QUEUE COMMAND...: have the machine do that, and the bus scan, which lasts until end_scan: the
# adapter of QUEUE, which is the driver's, gets another type, so the scan removes its queues. With our
# driver the user of mdev F has QUEUE, and does not give it back; with the C driver, which would hold up
# everybody then, the resets of the adapter's queues take long. $scan is the process that has the bus scan.
long_scan() {
	_queue=$1 _adapter=$((0x${1%.*}))
	shift
	_resets=
	if [ "$DRIVER" = rust ]; then
		mdev F
		assign F adapter $_adapter domain $((0x${_queue#*.}))
		vm_open F
		vm F hold machine
	else
		_resets="; queue ${_queue%.*}.* reset-polls 90"
	fi
	machine "counters reset ; adapter $_adapter cex6c $_resets ; $*"
	echo 1 >$ap/scans &
	scan=$!
	_leaves() {
		if [ "$DRIVER" = rust ]; then
			[ "$(driver_of "$_queue")" = none ]
		else
			[ "$(machine counters "${_queue%.*}.*" zapq)" != 0 ]
		fi
	}
	wait_until "the scan is at $_queue" _leaves
}

# end_scan: let it come to its end.
end_scan() {
	[ "$DRIVER" != rust ] || still_scans $scan
	if [ "$DRIVER" = rust ]; then vm F release; else machine "queue *.* reset-polls 1"; fi
	wait $scan
}

# still_scans PID: the process that has the bus scan is not through. A debug kernel is too slow for what
# is done in a scan: it shows nothing about scans then.
still_scans() {
	! _gone "$1" || [ -e /sys/kernel/debug/kmemleak ] || fail "the scan was over too early to show anything"
}

# asleep PID: in the kernel, where no signal would wake it.
asleep() {
	read -r _stat <"/proc/$1/stat"
	case $_stat in *") D "*) return 0 ;; *) return 1 ;; esac
}

# driver_of QUEUE: the driver that it is bound to.
driver_of() {
	_link=$(readlink "$ap/devices/$1/driver") || _link=none
	echo "${_link##*/}"
}

# scan: have the AP bus look at its host configuration; when this returns, a scan
# that began after the call is complete. (A write while another scan is on only
# waits for that one, so it takes two writes to be sure.)
scan() {
	echo 1 >$ap/scans
	echo 1 >$ap/scans
}

# bind QUEUE, unbind QUEUE: at vfio_ap, by hand, as in `unbind 01.0002`.
bind() { ktry write $ap/drivers/vfio_ap/bind "$1"; }
unbind() { ktry write $ap/drivers/vfio_ap/unbind "$1"; }

# count_from_zero: reset the counters, when all resets under way are done. (The AP
# bus resets each queue that changes its driver and does not look at it again, and
# time passes for the emulated queue only when somebody looks.)
count_from_zero() {
	machine "queue *.* reset-polls 0 ; queue *.* reset-polls 1 ; counters reset"
}

# zapqs QUEUE: how many resets the queue has been told to do since then.
zapqs() { machine counters "$1" zapq; }

# ---------------------------------------------------------------------- mdevs ---

# Names of mdevs are A to F, or two digits; each stands for a UUID. (Processes are
# what takes time in the emulated machine, so nothing here starts one without need.)
_identify() {
	case $1 in
	A) _x=aa ;;
	B) _x=bb ;;
	C) _x=cc ;;
	D) _x=dd ;;
	E) _x=ee ;;
	F) _x=ff ;;
	[0-9][0-9]) _x=$1 ;;
	*) fail "$1 is no name of an mdev: A to F, or two digits" ;;
	esac
	_uuid=$_x$_x$_x$_x-0000-4000-8000-000000000000
	_mdev=$mdevs/$_uuid
}

# uuid NAME: print it.
uuid() {
	_identify "$1"
	echo $_uuid
}

# mdev NAME: create a mediated device.
mdev() {
	_identify "$1"
	ktry write $parent/mdev_supported_types/$type/create $_uuid
}

# remove_mdev NAME
remove_mdev() {
	_identify "$1"
	ktry write $_mdev/remove 1
}

# attr NAME ATTRIBUTE: print an attribute as it is.
attr() {
	_identify "$1"
	cat "$_mdev/$2"
}

# set_attr NAME ATTRIBUTE TEXT: write an attribute.
set_attr() {
	_identify "$1"
	ktry write "$_mdev/$2" "$3"
}

# assign NAME adapter|domain|control_domain NUMBER... [KIND NUMBER...]...
# in that order; stops at the first that is refused.
assign() { _change assign "$@"; }
unassign() { _change unassign "$@"; }

_change() {
	_verb=$1 _name=$2 _kind=
	shift 2
	for _word; do
		case $_word in
		adapter | domain | control_domain) _kind=$_word ;;
		*) set_attr "$_name" "${_verb}_$_kind" "$_word" || return ;;
		esac
	done
}

# matrix NAME, guest_matrix NAME, control_domains NAME: in one line.
matrix() { _in_one_line "$1" matrix; }
guest_matrix() { _in_one_line "$1" guest_matrix; }
control_domains() { _in_one_line "$1" control_domains; }
_in_one_line() {
	_identify "$1"
	_all=
	while read -r _word; do _all="$_all $_word"; done <"$_mdev/$2"
	echo ${_all# }
}

# --------------------------------------------------------------------- guests ---

# vm_open NAME [group|iommufd] [OPTION-OF-APVMM...]: start a virtual machine
# monitor that opens mdev NAME. If it cannot, this prints the step and the errno.
vm_open() {
	_vm=$1 _backend=${2:-group}
	shift
	[ $# = 0 ] || shift
	_identify "$_vm"
	_start "$_vm" apvmm --backend "$_backend" "$@" $_uuid
}

# vm_start NAME UUID-OF OPTION...: like vm_open, for a second monitor NAME.
vm_start() {
	_vm=$1 _of=$2
	shift 2
	_identify "$_of"
	_start "$_vm" apvmm "$@" $_uuid
}

_start() {
	_vm=$1
	shift
	rm -f $run/"$_vm".in $run/"$_vm".out
	mkfifo $run/"$_vm".in $run/"$_vm".out
	# Both ends are opened for reading and writing, so that neither waits.
	exec 8<>$run/"$_vm".out
	"$@" 0<>$run/"$_vm".in 1<>$run/"$_vm".out 8>&- &
	echo $! >$run/"$_vm".pid
	_rc=0
	_answer <&8 || _rc=$?
	exec 8>&-
	[ $_rc = 0 ] || rm -f $run/"$_vm".*
	return $_rc
}

# Reads an answer up to its last line; that is printed only if it is an error.
_answer() {
	while IFS= read -r -t ${patience:-20} _line; do
		case $_line in
		ok) return 0 ;;
		*": error "*)
			echo "$_line"
			return 1
			;;
		*) echo "$_line" ;;
		esac
	done
	echo "no answer: error ETIMEDOUT"
	return 1
}

# vm NAME COMMAND...: one of the commands of apvmm: info, irq-info, reset,
# set-irq, events, masks, commits, history, open, close, leave.
vm() {
	_vm=$1
	shift
	read -r _pid <$run/"$_vm".pid
	kill -0 "$_pid" 2>/dev/null || fail "virtual machine $_vm is not running"
	# Opened before it is asked: if it ends then, its answer would be lost.
	exec 8<>$run/"$_vm".out
	echo "$*" >$run/"$_vm".in
	_rc=0
	_answer <&8 || _rc=$?
	exec 8>&-
	return $_rc
}

# vm_close NAME: end the monitor and wait until it is gone.
vm_close() {
	read -r _pid <$run/"$1".pid
	vm "$1" quit
	wait_until "virtual machine $1 is gone" _gone "$_pid"
	rm -f $run/"$1".*
}

# vm_kill NAME: end it as a crash would.
vm_kill() {
	read -r _pid <$run/"$1".pid
	kill -9 "$_pid"
	wait_until "virtual machine $1 is gone" _gone "$_pid"
	rm -f $run/"$1".*
}

# A process that nobody has waited for yet is gone as well, once it is the last of its threads: they
# share the files, and its first one may be a zombie while another has them open still.
_gone() {
	! { read -r _stat <"/proc/$1/stat"; } 2>/dev/null && return
	case $_stat in *") Z "*) ;; *) return 1 ;; esac
	! _are_several "/proc/$1"/task/*
}
_are_several() { [ $# -gt 1 ]; }

# response NAME COMMAND...: what the guest gets, the response code alone, as in rc=00.
response() {
	_guest=$1
	shift
	_said=$(vm "$_guest" guest "$@") || return
	echo "${_said%% *}"
}

# masks NAME: what KVM last put into the guest's CRYCB.
masks() { vm "$1" masks; }

# commits NAME: how often KVM has changed the guest's CRYCB.
commits() { vm "$1" commits; }

# expect_commits N NAME COMMAND...: COMMAND makes KVM change the CRYCB N times.
expect_commits() {
	_n=$1 _guest=$2
	shift 2
	_before=$(commits "$_guest")
	"$@"
	_after=$(commits "$_guest")
	[ $((_after - _before)) = "$_n" ] || {
		fail "commits by '$*': expected $_n, got $((_after - _before))"
		return 1
	}
	echo "ok: commits by '$*': $_n"
}

# ------------------------------------------------------------------ at the end ---

# clean: close what is open, and remove the mdevs. The driver stays.
clean() {
	for _file in "$run"/*.pid; do
		[ -e "$_file" ] || continue
		_vm=${_file##*/}
		vm_close "${_vm%.pid}"
	done
	_stuck=
	for _mdev in "$mdevs"/*; do
		[ -e "$_mdev" ] || continue
		# mdev takes `remove` away from a device that was not quite there when somebody wrote to it;
		# only unloading removes that.
		if [ -e "$_mdev/remove" ]; then ktry write "$_mdev/remove" 1; else _stuck=$_mdev; fi
	done
	[ -z "$_stuck" ] || {
		unload_driver
		load_driver
	}
}

# finish: undo everything, in order.
finish() {
	[ ! -e $clients ] || finish_clients
	clean
	[ ! -d /sys/module/vfio_ap ] || unload_driver
}

# shellcheck source=tools/scenarios/lib-clients.sh
[ ! -e $clients ] || . /scenarios/lib-clients.sh

# scenario NAME: for somebody at a shell: make the machine that it asks for, as far
# as that can be done while it runs, and run it.
scenario() {
	finish
	rm -f /run/reason
	# The bus would count an override for ever whose queue is gone, and refuse masks.
	for _queue in $ap/devices/*.*; do
		case $(cat "$_queue/driver_override") in "" | "(null)") ;; *) echo >"$_queue/driver_override" ;; esac
	done
	machine bare
	scan
	_all=0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
	ktry write $ap/apmask $_all
	ktry write $ap/aqmask $_all
	machine "$(cat /scenarios/default.machine)
		$(sed -n 's/^# machine: //p' "/scenarios/$1.sh")
		counters reset ; sie reset"
	scan
	dmesg -c >/dev/null
	if SCENARIO=$1 machines_left=$(machines) sh -eu -c '. /scenarios/lib.sh; . "/scenarios/$SCENARIO.sh"; finish'; then
		echo "passed: $1"
	else
		echo "FAILED: $1: $(cat /run/reason 2>/dev/null)"
	fi
	# Somebody at a shell has the driver again; queues and masks are as the scenario has left them.
	[ -n "$SCENARIO" ] || load_driver
}
