# SPDX-License-Identifier: GPL-2.0
# The words in which benches are written, on top of those of scenarios.
#
#   prepare            give all queues to the driver, and load it
#   full               the masks of all adapters and domains, for ap_config
#   guest NAME         an mdev that has everything, and a guest that has the mdev
#   measure OPERATION COMMAND...   do it, and report what it cost
#   repeat COMMAND...  as often as it takes for a median
#
# The machine has SIZE adapters and SIZE domains. A report is a line
# `@MEASURED operation=... KEY=NUMBER...`, which `vm bench` reads.
# shellcheck disable=SC2034 # used by those who read this

SIZE=${SIZE:-4}
last=$((SIZE - 1))
patience=600

# mask N [FROM]: 256 bits, of which N from number FROM on are set (the first 63 at most).
mask() {
	printf '0x%016x%048x' $((((1 << $1) - 1) << (64 - $1 - ${2:-0}))) 0
}
no_masks=$(mask 0),$(mask 0),$(mask 0)
full=$(mask "$SIZE"),$(mask "$SIZE"),$(mask "$SIZE")

# prepare: the driver gets all queues.
prepare() {
	[ -d /sys/module/vfio_ap ] && return
	# Seconds between scans that nobody has asked for: as many as can be.
	echo 120 >$ap/config_time
	ktry write $ap/apmask "$(mask 0)"
	load_driver
}

# guest NAME: it has everything, but its CPU does not run.
guest() {
	mdev "$1"
	set_attr "$1" ap_config "$full"
	vm_open "$1" group --vcpus 1
}

# measure OPERATION COMMAND...: COMMAND is `write FILE TEXT` or `read FILE`, or prints
# costs itself.
measure() {
	_operation=$1
	shift
	case $1 in
	write | read) _cost=$(apcount "$@") || fail "$*: $_cost" ;;
	*) _cost=$("$@") || fail "$*: $_cost" ;;
	esac
	report "$_operation" "$_cost"
}

# report OPERATION KEY=NUMBER...
report() {
	_operation=$1
	shift
	echo "@MEASURED operation=$_operation $*"
	# For a person: in which functions the cost is.
	[ -z "${PROFILE:-}" ] || apcount functions
}

# repeat COMMAND...
repeat() {
	for _round in 1 2 3 4 5; do "$@"; done
}
