# SPDX-License-Identifier: GPL-2.0
# What is assigned or bound in a long scan that does not concern it reaches the guest at once.
#
# Queues that the scan itself takes away, or brings, come with the one commit at its end.
# timeout: 90

give_to_vfio_ap "0 1 2" ""
load_driver
unbind 02.0002
mdev A
assign A adapter 1 domain 1
vm_open A group --run 1
# Queues of adapter 0 go, as its type has changed, and their resets take long: that makes the scan last.
machine "counters reset ; adapter 0 cex6c ; queue 00.* reset-polls 90 ; adm - 3"
echo 1 >$ap/scans &
scan=$!
wait_until "the scan is at adapter 0" under_way 00.0000
assign A domain 2
expect "masks with domain 2" "apm=1 aqm=1-2 adm=none" masks A
assign A adapter 2
bind 02.0002
expect "masks with adapter 2" "apm=1-2 aqm=1-2 adm=none" masks A
still_scans $scan
expect "the guest has" "01.0001 01.0002 02.0001 02.0002" vm A guest queues
machine "queue 00.* reset-polls 1"
wait $scan
expect "masks after the scan" "apm=1-2 aqm=1-2 adm=none" masks A
