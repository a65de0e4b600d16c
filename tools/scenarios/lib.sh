# SPDX-License-Identifier: GPL-2.0
# The functions that scenarios are written with.
#
# `sh -eu` runs a scenario with these functions. A command that fails ends the
# scenario, and so does an expectation that is not met. At the end, `finish` closes
# all devices, removes the mdevs and unloads the driver. Each scenario therefore
# also proves that these steps work.
#
#   the host     give_to_vfio_ap  load_driver  unload_driver  bind  unbind
#                override  machine  scan  long_scan  end_scan
#                count_from_zero  zapqs
#   mdevs        mdev  remove_mdev  mdev_with  assign  unassign  attr
#                matrix  guest_matrix  control_domains
#   guests       vm_open  vm  vm_close  masks  commits  response  pins
#                backends_that_survive  enable_at_once  enabled_for_guests
#   expecting    expect  expect_error  expect_commits  ends_within  fail  skip
#                dmesg_has  if_c  if_rust  wait_until
#
# The functions for programs from Debian are in lib-clients.sh.

ap=/sys/bus/ap
mdevs=/sys/bus/mdev/devices
parent=/sys/devices/vfio_ap/matrix
type=vfio_ap-passthrough
run=/run/vm
# The disk with programs from Debian, in the machines that have it.
clients=/dev/clients
# The backends of the kernel for access to the memory of a user.
backends=group
[ ! -e /dev/iommu ] || backends="group iommufd"
mkdir -p $run

# ---------------------------------------------------------------- expecting ---

# fail TEXT...: end the scenario as failed, for the reason TEXT. An interactive shell continues.
fail() {
	echo "$*" >/run/reason
	[ -n "$SCENARIO" ] || {
		echo "failed: $*"
		return 1
	}
	exit 1
}

# skip TEXT...: end the scenario as not applicable, for the reason TEXT.
skip() {
	echo "$*" >/run/reason
	exit 77
}

# expect WHAT EXPECTED COMMAND...: require that COMMAND succeeds and prints EXPECTED.
expect() {
	_what=$1 _expected=$2
	shift 2
	if ! _actual=$("$@"); then
		fail "$_what: '$*' failed: $_actual"
		return 1
	fi
	if [ "$_actual" != "$_expected" ]; then
		printf 'unexpected: %s\n' "$_what"
		printf '  command   %s\n  expected  %s\n  actual    %s\n' "$*" \
			"$(echo "$_expected" | sed '2,$s/^/            /')" \
			"$(echo "$_actual" | sed '2,$s/^/            /')"
		fail "$_what: expected '$_expected', got '$_actual'"
		return 1
	fi
	echo "ok: $_what: ${_actual:-(empty)}"
}

# expect_error ERRNO COMMAND...: require that COMMAND fails and that the last word of its output
# is ERRNO.
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

# if_c COMMAND..., if_rust COMMAND...: run COMMAND with this driver only. These functions show the
# intended differences.
if_c() { [ "$DRIVER" != c ] || "$@"; }
if_rust() { [ "$DRIVER" != rust ] || "$@"; }

# dmesg_has REGEX: require a matching line in the kernel log.
dmesg_has() {
	dmesg | grep -Eq "$1" || {
		fail "no kernel message matches: $1"
		return 1
	}
	echo "ok: kernel message: $1"
}

# dmesg_has_not REGEX: require that no line in the kernel log matches.
dmesg_has_not() {
	! dmesg | grep -E "$1" || {
		fail "a kernel message matches: $1"
		return 1
	}
	echo "ok: no kernel message: $1"
}

# ------------------------------------------------------------------- the host ---

# machine COMMAND...: control the emulated machine; see `machine help`.
machine() { apctl "$@"; }

# give_to_vfio_ap ADAPTERS DOMAINS: take adapters and domains from the host's default drivers.
# vfio_ap gets a queue if it gets the adapter or the domain. Call this before load_driver.
give_to_vfio_ap() {
	_mask=
	for _id in $1; do _mask=$_mask,-$_id; done
	[ -z "$_mask" ] || ktry write $ap/apmask "${_mask#,}"
	_mask=
	for _id in $2; do _mask=$_mask,-$_id; done
	[ -z "$_mask" ] || ktry write $ap/aqmask "${_mask#,}"
}

# load_driver: wait for the first scan of the AP bus, load the driver under test, and wait until
# every queue is bound.
load_driver() {
	wait_until "the AP bus has scanned" first_scan_done
	ktry insmod /lib/modules/vfio_ap.ko
	wait_until "all queues are bound" bindings_complete
}

unload_driver() { ktry rmmod vfio_ap; }

# In an interactive shell, modprobe loads the driver under test. All other modules are loaded.
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

# seconds: print the age of the machine.
seconds() {
	read -r _now _ </proc/uptime
	echo ${_now%.*}
}

# machines: print the number of virtual machines of KVM, without those that an earlier scenario left.
machines() {
	_machines=$(find /sys/kernel/debug/kvm -mindepth 1 -type d | wc -l)
	echo $((_machines - ${machines_left:-0}))
}

# pins: print the number of pages that are pinned for devices.
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

# wait_until WHAT COMMAND...: run COMMAND until it succeeds, for at most $patience (10) seconds.
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
	fail "timeout: $_what"
}

# enabled_for_guests: print the number of queues that have interruptions for guests enabled.
enabled_for_guests() { machine show | grep -c 'enabled: nib=.* gisa=' || :; }

# nothing_pinned: succeed if no page is pinned.
nothing_pinned() { [ "$(pins)" = 0 ]; }

# under_way QUEUE: succeed if a reset of QUEUE has begun since the counters were reset.
under_way() { [ "$(machine counters "$1" zapq)" != 0 ]; }

# ends_within SECONDS WHAT PID: require that the process ends in time.
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

# long_scan QUEUE COMMAND...: run COMMAND in the machine, and start a scan that lasts until end_scan.
# QUEUE belongs to the driver. Its adapter gets another type, and the scan removes its queues. With
# this driver, the user of mdev F holds the lock of its virtual machine and so delays the removal of
# QUEUE. With the C driver that would delay everybody, and slow resets delay the removal instead.
# $scan is the process that scans.
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

# end_scan: let the scan of long_scan end.
end_scan() {
	[ "$DRIVER" != rust ] || still_scans $scan
	if [ "$DRIVER" = rust ]; then vm F release; else machine "queue *.* reset-polls 1"; fi
	wait $scan
}

# still_scans PID: require that the scan of this process has not ended. A debug kernel is too slow
# for that; a scenario proves nothing about scans there.
still_scans() {
	! _gone "$1" || [ -e /sys/kernel/debug/kmemleak ] || fail "the scan was over too early to show anything"
}

# asleep PID: succeed if the process sleeps uninterruptibly.
asleep() {
	read -r _stat <"/proc/$1/stat"
	case $_stat in *") D "*) return 0 ;; *) return 1 ;; esac
}

# driver_of QUEUE: print the driver of QUEUE, or none.
driver_of() {
	_link=$(readlink "$ap/devices/$1/driver") || _link=none
	echo "${_link##*/}"
}

# scan: complete a scan of the AP bus that begins after the call. (A write during another scan only
# waits for that scan. Two writes are always sufficient.)
scan() {
	echo 1 >$ap/scans
	echo 1 >$ap/scans
}

# bind QUEUE, unbind QUEUE: bind QUEUE to vfio_ap, or unbind it, as in `unbind 01.0002`.
bind() { ktry write $ap/drivers/vfio_ap/bind "$1"; }
unbind() { ktry write $ap/drivers/vfio_ap/unbind "$1"; }

# override QUEUE...: give queues of the host to vfio_ap by their driver_override.
override() {
	for _queue; do
		ktry write "$ap/devices/$_queue/driver_override" vfio_ap
		ktry write $ap/drivers/cex4queue/unbind "$_queue"
		bind "$_queue"
	done
}

# count_from_zero: complete all resets, then set the counters to zero. (The AP bus resets each queue
# that changes its driver and does not poll it. An emulated reset only progresses when it is polled.)
count_from_zero() {
	machine "queue *.* reset-polls 0 ; queue *.* reset-polls 1 ; counters reset"
}

# zapqs QUEUE: print the number of resets of QUEUE since then.
zapqs() { machine counters "$1" zapq; }

# ---------------------------------------------------------------------- mdevs ---

# Names of mdevs are A to F, or two digits. Each stands for a UUID. (Starting a process is slow in
# the emulated machine, and these functions avoid it.)
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

# uuid NAME: print the UUID of mdev NAME.
uuid() {
	_identify "$1"
	echo $_uuid
}

# mdev NAME: create a mediated device.
mdev() {
	_identify "$1"
	ktry write $parent/mdev_supported_types/$type/create $_uuid
}

# mdev_with NAME ADAPTERS DOMAINS: take adapters from the host, load the driver, and create an
# mdev with these adapters and domains.
mdev_with() {
	give_to_vfio_ap "$2" ""
	load_driver
	mdev "$1"
	# shellcheck disable=SC2086 # several numbers
	assign "$1" adapter $2 domain $3
}

# unassign_with_endless_reset NAME QUEUE: unassign the adapter of QUEUE in the background, and return
# when the reset of QUEUE is under way, which never ends. $writer is the process.
unassign_with_endless_reset() {
	machine "counters reset ; queue $2 reset-polls forever"
	_identify "$1"
	echo $((0x${2%.*})) >"$_mdev/unassign_adapter" &
	writer=$!
	wait_until "the reset is under way" under_way "$2"
}

# remove_mdev NAME: remove it.
remove_mdev() {
	_identify "$1"
	ktry write $_mdev/remove 1
}

# attr NAME ATTRIBUTE: print an attribute unchanged.
attr() {
	_identify "$1"
	cat "$_mdev/$2"
}

# set_attr NAME ATTRIBUTE TEXT: write an attribute.
set_attr() {
	_identify "$1"
	ktry write "$_mdev/$2" "$3"
}

# assign NAME adapter|domain|control_domain NUMBER... [KIND NUMBER...]...: assign in this order;
# fail at the first refusal.
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

# matrix NAME, guest_matrix NAME, control_domains NAME: print the attribute in one line.
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
# monitor that opens mdev NAME. On failure, print the step and the errno.
vm_open() {
	_vm=$1 _backend=${2:-group}
	shift
	[ $# = 0 ] || shift
	_identify "$_vm"
	_start "$_vm" apvmm --backend "$_backend" "$@" $_uuid
}

# vm_start NAME UUID-OF OPTION...: like vm_open, for another monitor NAME.
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
	# Opening both ends for reading and writing does not block.
	exec 8<>$run/"$_vm".out
	"$@" 0<>$run/"$_vm".in 1<>$run/"$_vm".out 8>&- &
	echo $! >$run/"$_vm".pid
	_rc=0
	_answer <&8 || _rc=$?
	exec 8>&-
	[ $_rc = 0 ] || rm -f $run/"$_vm".*
	return $_rc
}

# Reads an answer up to its last line, and prints the last line only if it is an error.
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

# vm NAME COMMAND...: send a command to apvmm, such as info, irq-info, reset, set-irq, events,
# masks, commits, history, open, close or leave.
vm() {
	_vm=$1
	shift
	read -r _pid <$run/"$_vm".pid
	kill -0 "$_pid" 2>/dev/null || fail "virtual machine $_vm is not running"
	# Opened before the command is sent; otherwise the answer of a monitor that ends would be lost.
	exec 8<>$run/"$_vm".out
	echo "$*" >$run/"$_vm".in
	_rc=0
	_answer <&8 || _rc=$?
	exec 8>&-
	return $_rc
}

# vm_close NAME: end the monitor, and wait for its end.
vm_close() {
	read -r _pid <$run/"$1".pid
	vm "$1" quit
	wait_until "virtual machine $1 is gone" _gone "$_pid"
	rm -f $run/"$1".*
}

# vm_kill NAME: kill the monitor, and wait for its end.
vm_kill() {
	read -r _pid <$run/"$1".pid
	kill -9 "$_pid"
	wait_until "virtual machine $1 is gone" _gone "$_pid"
	rm -f $run/"$1".*
}

# A zombie counts as gone if it is the last of its threads. The threads share the files, and the
# first one may be a zombie while another still has them open.
_gone() {
	! { read -r _stat <"/proc/$1/stat"; } 2>/dev/null && return
	case $_stat in *") Z "*) ;; *) return 1 ;; esac
	! _are_several "/proc/$1"/task/*
}
_are_several() { [ $# -gt 1 ]; }

# response NAME COMMAND...: print the response code that the guest gets, as rc=00.
response() {
	_guest=$1
	shift
	_said=$(vm "$_guest" guest "$@") || return
	echo "${_said%% *}"
}

# enable_at_once NAME QUEUE [ADDRESS]: the guest enables interruptions of QUEUE, and the machine
# does so without a delay.
enable_at_once() {
	count_from_zero
	machine "queue *.* irq-polls 0"
	expect "enable" rc=00 response "$1" enable "$2" ${3:+"$3"}
}

# backends_that_survive: the backends with which the host survives if a page is unpinned at an
# address in the next mapping: type 1 of the IOMMU stops a host with the C driver by a BUG.
backends_that_survive() { if [ "$DRIVER" = c ]; then echo iommufd; else echo "$backends"; fi; }

# masks NAME: print the masks that KVM last put into the guest's CRYCB.
masks() { vm "$1" masks; }

# commits NAME: print the number of changes of the guest's CRYCB.
commits() { vm "$1" commits; }

# expect_commits N NAME COMMAND...: require that COMMAND makes KVM change the CRYCB N times.
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

# clean: close all devices and remove the mdevs. The driver stays loaded.
clean() {
	for _file in "$run"/*.pid; do
		[ -e "$_file" ] || continue
		_vm=${_file##*/}
		vm_close "${_vm%.pid}"
	done
	_stuck=
	for _mdev in "$mdevs"/*; do
		[ -e "$_mdev" ] || continue
		# If `remove` was written while the device was being created, mdev removes the attribute
		# and keeps the device. Only unloading the driver removes the device then.
		if [ -e "$_mdev/remove" ]; then ktry write "$_mdev/remove" 1; else _stuck=$_mdev; fi
	done
	[ -z "$_stuck" ] || {
		unload_driver
		load_driver
	}
}

# finish: clean up and unload the driver.
finish() {
	[ ! -e $clients ] || finish_clients
	clean
	[ ! -d /sys/module/vfio_ap ] || unload_driver
}

# shellcheck source=tools/scenarios/lib-clients.sh
[ ! -e $clients ] || . /scenarios/lib-clients.sh

# scenario NAME: run a scenario from an interactive shell. Its `machine:` commands are applied to the
# running machine.
scenario() {
	finish
	rm -f /run/reason
	# The bus counts the override of a removed queue forever, and would refuse masks.
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
	# Queues and masks stay as the scenario has left them.
	[ -n "$SCENARIO" ] || load_driver
}
