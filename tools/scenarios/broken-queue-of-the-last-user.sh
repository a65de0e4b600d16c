# SPDX-License-Identifier: GPL-2.0
# A queue that the machine neither resets nor keeps from interrupting is nobody's until it does, however
# often its users change.
#
# Each of them can end in a bounded time, and has nothing pinned then. In the end the queue works, for the
# guest that has it then. The C driver waits for ever.
# timeout: 120
# drivers: rust

none_enabled() { [ "$(enabled_for_guests)" = 0 ]; }
patience=20

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1 2
vm_open A group --run 1 --look 2,2
count_from_zero
machine "queue *.* irq-polls 0"
expect "enable" rc=00 response A enable 01.0001
machine "queue 01.0001 zapq rc=05 ; queue 01.0001 aqic rc=05"
began=$(seconds)
vm_close A
[ $(($(seconds) - began)) -le 12 ] || fail "close took $(($(seconds) - began)) s"
expect "pinned by nobody" 0 pins
vm_open A group --run 1 --look 2,2
expect "the next user has nothing of that adapter" none vm A guest queues
expect "AQIC" rc=01 response A enable 01.0001
vm_close A
expect "pinned by nobody" 0 pins
vm_open A group --run 1 --look 2,2
machine "queue 01.0001 zapq clear ; queue 01.0001 aqic clear"
has_both() { [ "$(vm A guest queues)" = "01.0001 01.0002" ]; }
wait_until "the machine works again, and the guest has both" has_both
expect "nothing is enabled" 0 enabled_for_guests
expect "enable" rc=00 response A enable 01.0001
expect "pinned" 1 pins
vm A guest send 01.0001
interrupted() { case $(vm A guest interruptions) in "1 "*) return 0 ;; *) return 1 ;; esac; }
wait_until "an interruption" interrupted
vm A guest receive 01.0001
