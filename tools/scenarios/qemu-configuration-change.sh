# SPDX-License-Identifier: GPL-2.0
# QEMU learns of each change of its guest's configuration and reports it to the guest.
#
# The driver signals an eventfd (VFIO_AP_CFG_CHG_IRQ_INDEX). QEMU queues one channel report until
# the guest has fetched it or was reset.
# image: clients
# memory: 1024
# timeout: 120

trace=/tmp/qemu.trace

# reports: print the number of channel reports that QEMU has queued.
reports() { grep -c '^css_crw .*rsc=0xb, erc=0x0,' $debian$trace || :; }

# reported WHAT: require a new report. The reset allows the next one.
reported() {
	wait_until "$1 is reported" _more_than "$reports"
	reports=$((reports + 1))
	expect "reports after $1" $reports reports
	qmp A system_reset >/dev/null
}
_more_than() { [ "$(reports)" -gt "$1" ]; }

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1
for backend in $backends; do
	rm -f $debian$trace
	qemu A $backend -trace css_crw -D $trace
	reports=0
	expect "reports at first" 0 reports
	assign A adapter 2
	reported "what is assigned"
	unassign A adapter 2
	reported "what is unassigned"
	assign A control_domain 2
	reported "a control domain"
	unassign A control_domain 2
	reported "no control domain"
	machine "apm - 1"
	scan
	reported "an adapter that leaves the host"
	machine "apm + 1"
	scan
	reported "an adapter that comes back"
	qemu_quit A
done
