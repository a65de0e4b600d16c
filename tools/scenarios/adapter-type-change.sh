# SPDX-License-Identifier: GPL-2.0
# An adapter that is replaced by one of another type leaves the guest and returns.
#
# The host configuration stays the same, and the bus announces no change (B1).

mdev_with A "1 2" 1
vm_open A
expect "type before" CEX7C cat $ap/devices/card01/type
machine "adapter 1 cex8c"
expect_commits 2 A scan
expect "type after" CEX8C cat $ap/devices/card01/type
expect "masks" "apm=1-2 aqm=1 adm=none" masks A
vm A history
