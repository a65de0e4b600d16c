# SPDX-License-Identifier: GPL-2.0
# A queue with interruptions that the machine can neither reset nor disable has no owner until it
# can.
#
# Each user of the queue can close the device in bounded time and has no pinned page then. The queue
# works for the guest that has it when the machine recovers. The C driver waits forever.
# timeout: 120
# drivers: rust

none_enabled() { [ "$(enabled_for_guests)" = 0 ]; }
patience=20

mdev_with A 1 "1 2"
vm_open A group --run 1 --look 2,2
enable_at_once A 01.0001
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
