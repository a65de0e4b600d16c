# SPDX-License-Identifier: GPL-2.0
# A queue with a failed reset comes back to its guest when the cause is gone, without a change of
# the host configuration.
#
# The adapter is away for a moment between two scans, and the guest restarts in this moment. The C
# driver leaves queues with failed resets to the guest.
# expect-kernel[c]: WARNING: .*vfio_ap_mdev_reset_queue

mdev_with A "1 2" 1
has_both() { [ "$(masks A)" = "apm=1-2 aqm=1 adm=none" ]; }
fails_once() {
	machine "$1"
	expect_error EIO vm A reset
	machine "$2"
}

vm_open A group --run 1 --look 2,1
fails_once "apm - 1" "apm + 1"
wait_until "it comes back by itself" has_both
fails_once "queue 01.0001 zapq rc=42" "queue 01.0001 zapq clear"
wait_until "it comes back after an error of the machine" has_both
expect "the guest has both" "01.0001 02.0001" vm A guest queues

# What people do brings it back at once.
fails_once "queue 01.0001 zapq rc=42" "queue 01.0001 zapq clear"
vm A reset
expect "masks after another reset" "apm=1-2 aqm=1 adm=none" masks A
fails_once "queue 01.0001 zapq rc=42" "queue 01.0001 zapq clear"
unassign A adapter 1
assign A adapter 1
expect "masks when it was assigned anew" "apm=1-2 aqm=1 adm=none" masks A
fails_once "queue 01.0001 zapq rc=42" "queue 01.0001 zapq clear"
vm_close A
vm_open A
expect "masks of the next guest" "apm=1-2 aqm=1 adm=none" masks A
