# SPDX-License-Identifier: GPL-2.0
# A guest gets the interruptions of a queue that is new to the AP bus.
#
# The AP bus resets each new queue and enables its interruptions for the host, for all drivers. The
# machine refuses to enable interruptions twice. This driver disables those of the host first. The C
# driver tells the guest that they are enabled, and the guest never gets one. Found by `stress`.
# machine: apm = 0,1

code() {
	_answer=$(vm A guest "$@")
	echo "${_answer%% *}"
}
host_has() { machine show | grep -q '# 02.0001: interruptions enabled'; }

give_to_vfio_ap "1 2" ""
load_driver
machine "queue *.* irq-polls 0"
mdev A
assign A adapter 1 2 domain 1
vm_open A group --run 1
machine "apm + 2 ; queue *.* irq-polls 0"
scan
expect "the guest has it" "01.0001 02.0001" vm A guest queues
wait_until "the host has its interruptions" host_has
if_c expect "enable" rc=07 code enable 02.0001
if_rust expect "enable" rc=00 code enable 02.0001
vm A guest send 02.0001
got() { case $(vm A guest interruptions) in "1 "*) return 0 ;; *) return 1 ;; esac; }
if_rust wait_until "the guest is interrupted" got
expect "enabled already" rc=07 code enable 02.0001
if_rust expect "disable" rc=00 code disable 02.0001
