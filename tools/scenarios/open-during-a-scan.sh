# SPDX-License-Identifier: GPL-2.0
# Who opens an mdev in a long scan that does not concern it has its queues at once.
# timeout: 90

give_to_vfio_ap "0 1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
# Queues of adapter 0 go, as its type has changed, and their resets take long: that makes the scan last.
machine "counters reset ; adapter 0 cex6c ; queue 00.* reset-polls 90 ; adm - 3"
echo 1 >$ap/scans &
scan=$!
wait_until "the scan is at adapter 0" under_way 00.0000
expect "guest matrix" "01.0001 02.0001" guest_matrix A
vm_open A group --run 1 --look 2,1
expect "masks" "apm=1-2 aqm=1 adm=none" masks A
expect "the guest has" "01.0001 02.0001" vm A guest queues
still_scans $scan
machine "queue 00.* reset-polls 1"
wait $scan
expect "masks after the scan" "apm=1-2 aqm=1 adm=none" masks A
