# SPDX-License-Identifier: GPL-2.0
# Linux in a guest learns of each change of its configuration and scans its AP bus.
#
# The driver signals the eventfd. QEMU makes a channel report pending, which is a machine check. The
# guest fetches the event and scans. Without it the guest would not scan for two minutes.
# kernel: usual
# image: clients linux
# memory: 1024
# cpus: 2
# timeout: 240

# reports: how many machine checks the guest has had.
reports() { guest A 'set -- $(grep "^NMI:" /proc/interrupts); echo $(($2 + $3))'; }

# sees WHAT QUEUES: the guest gets there, by a channel report.
sees() {
	wait_until "the guest sees $1" guest_queues_are A "$2"
	expect "guest matrix: $1" "${2:-.0001 .0002}" guest_matrix A
	_reports=$(reports)
	[ "$_reports" -gt "$reports" ] || fail "$1: the guest had no channel report"
	echo "ok: channel reports for $1: $((_reports - reports))"
	reports=$_reports
}

give_to_vfio_ap "1 2 3" ""
load_driver
mdev A
assign A adapter 1 domain 1
linux A group
guest A 'echo 120 >/sys/bus/ap/config_time'
expect "at first" "01.0001" guest_queues A
reports=$(reports)
assign A adapter 2
sees "an adapter that is assigned" "01.0001 02.0001"
assign A domain 2
sees "a domain that is assigned" "01.0001 01.0002 02.0001 02.0002"
unassign A adapter 1
sees "an adapter that is unassigned" "02.0001 02.0002"
unbind 02.0001
sees "an adapter of which a queue is unbound" ""
bind 02.0001
sees "the queue bound" "02.0001 02.0002"
machine "aqm - 1"
scan
sees "a domain that leaves the host" "02.0002"
machine "aqm + 1"
scan
sees "the domain come back" "02.0001 02.0002"
