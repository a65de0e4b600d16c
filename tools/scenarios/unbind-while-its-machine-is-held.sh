# SPDX-License-Identifier: GPL-2.0
# A user that holds the lock of its virtual machine while its queues are unbound delays neither a
# scan nor others.
#
# The commit waits for the lock. A queue that is unbound by hand stays with the driver until the
# commit, because any driver could have it afterwards. A queue outside the host configuration can
# go, because the guest cannot use it.
# drivers: rust
# timeout: 90

give_to_vfio_ap "1 2 3" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
mdev B
assign B adapter 3 domain 1
vm_open A
vm A hold machine
ktry write $ap/drivers/vfio_ap/unbind 01.0001 &
unbind=$!
wait_until "who unbinds waits" asleep $unbind
machine "apm - 2"
echo 1 >$ap/scans &
ends_within 2 "the scan" $!

# Somebody else comes and goes.
began=$(seconds)
vm_open B
expect "masks of B" "apm=3 aqm=1 adm=none" masks B
vm B reset
vm_close B
[ $(($(seconds) - began)) -le 4 ] || fail "B was held up by A"
ktry write $ap/apmask +0 &
ends_within 2 "a mask of the host" $!
expect "masks of A" "apm=1-2 aqm=1 adm=none" masks A
! _gone $unbind || fail "the queue has left the driver, and the guest can use it"
vm A release
has_none() { [ "$(masks A)" = "apm=none aqm=1 adm=none" ]; }
wait_until "A's guest has lost both" has_none
ends_within 2 "unbind" $unbind
