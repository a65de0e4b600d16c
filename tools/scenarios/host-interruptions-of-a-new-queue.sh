# SPDX-License-Identifier: GPL-2.0
# A guest gets the interruptions of a queue that has come while vfio_ap was there.
#
# The AP bus resets each new queue and enables interruptions of it for the host, whatever driver
# it has. The machine refuses to enable what is enabled. Ours takes them from the host first; with
# the C driver the guest is told that they are enabled already, and waits for ever. Found by
# `stress`.
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
