# SPDX-License-Identifier: GPL-2.0
# The kernel log has each kind of message as a whole, and a file has a report of any length.
# drivers: rust

give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
mdev B
# dev_warn!
assign A adapter 1 domain 1
assign B domain 1
expect_error EADDRINUSE assign B adapter 1
dmesg_has "vfio_ap_mdev $(uuid B): Userspace may not assign queue 01\.0001 to mdev: already assigned to $(uuid A)\$"
# pr_warn!, which begins with the name of the module
machine "queue 01.0001 zapq rc=42"
vm_open A
unassign A adapter 1
dmesg_has "vfio_ap: reset of queue 01\.0001 failed with response code 42: not passed on\$"
machine "queue 01.0001 zapq clear"
# seq_print!
unassign A domain 1
assign A domain 0 1 2 3 control_domain 0 1 2 3
for _ in 1 2 3 4 5; do
	assign A adapter 0 2 3
	unassign A adapter 0 2 3
done
for id in $(seq 101 2 255); do assign A domain "$id" control_domain "$id"; done
report=$(cat "/sys/kernel/debug/vfio_ap/$(uuid A)")
case $report in
"used by: guest"*": apm=none aqm=0000-0003 adm=0000-0003 cause=assignment adapter=03 time="*) ;;
*) fail "a report of ${#report} bytes is not whole: $report" ;;
esac
[ ${#report} -gt 1024 ] || fail "a report of ${#report} bytes proves nothing"
dmesg_has_not "%pA"
