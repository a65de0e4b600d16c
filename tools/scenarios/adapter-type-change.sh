# SPDX-License-Identifier: GPL-2.0
# An adapter that is exchanged for one of another type leaves the guest and returns.
#
# B1: the host configuration stays the same, so the bus says nothing.

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
vm_open A
expect "type before" CEX7C cat $ap/devices/card01/type
machine "adapter 1 cex8c"
expect_commits 2 A scan
expect "type after" CEX8C cat $ap/devices/card01/type
expect "masks" "apm=1-2 aqm=1 adm=none" masks A
vm A history
