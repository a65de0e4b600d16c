# SPDX-License-Identifier: GPL-2.0
# A host that uses all its queues itself, without vfio_ap.
# machine: adapter 4 cex8p ; adapter 5 cex8a ; apm = 0-5 ; aqm = 0-3,0x10

wait_until "the AP bus has scanned" first_scan_done
wait_until "all queues are bound" bindings_complete
