# SPDX-License-Identifier: GPL-2.0
# The functions of benches, in addition to those of scenarios.
#
#   prepare            give all queues to the driver, and load it
#   full               the masks of all adapters and domains, for ap_config
#   guest NAME         create an mdev with all queues, and a guest that has the mdev
#   measure OPERATION COMMAND...   run COMMAND, and report its cost
#   repeat COMMAND...  run COMMAND five times
#
# The machine has SIZE adapters and SIZE domains. A report is a line
# `@MEASURED operation=... KEY=NUMBER...`, which `vm bench` reads.
# shellcheck disable=SC2034 # used by those who read this

SIZE=${SIZE:-4}
last=$((SIZE - 1))
patience=600

# mask N [FROM]: print 256 bits, of which N from number FROM on are set (within the first 63).
mask() {
	printf '0x%016x%048x' $((((1 << $1) - 1) << (64 - $1 - ${2:-0}))) 0
}
no_masks=$(mask 0),$(mask 0),$(mask 0)
full=$(mask "$SIZE"),$(mask "$SIZE"),$(mask "$SIZE")

# prepare: give all queues to the driver.
prepare() {
	[ -d /sys/module/vfio_ap ] && return
	# The interval of automatic scans, in seconds: the maximum.
	echo 120 >$ap/config_time
	ktry write $ap/apmask "$(mask 0)"
	load_driver
}

# guest NAME: create a guest with all queues. Its CPU does not run.
guest() {
	mdev "$1"
	set_attr "$1" ap_config "$full"
	vm_open "$1" group --vcpus 1
}

# measure OPERATION COMMAND...: COMMAND is `write FILE TEXT`, `read FILE`, or a command that prints
# its costs.
measure() {
	_operation=$1
	shift
	case $1 in
	write | read) _cost=$(apcount "$@") || fail "$*: $_cost" ;;
	*) _cost=$("$@") || fail "$*: $_cost" ;;
	esac
	report "$_operation" "$_cost"
}

# report OPERATION KEY=NUMBER...: print the line that `vm bench` reads.
report() {
	_operation=$1
	shift
	echo "@MEASURED operation=$_operation $*"
	# The functions with their costs, for a human reader.
	[ -z "${PROFILE:-}" ] || apcount functions
}

# repeat COMMAND...
repeat() {
	for _round in 1 2 3 4 5; do "$@"; done
}
