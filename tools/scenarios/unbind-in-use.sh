# SPDX-License-Identifier: GPL-2.0
# Unbinding a queue in use takes its adapter from the guest at once and resets all its queues;
# binding it brings the adapter back.

mdev_with A "1 2" "1 2"
vm_open A group --vcpus 1
count_from_zero
expect_commits 1 A unbind 01.0001
expect "masks without adapter 1" "apm=2 aqm=1-2 adm=none" masks A
expect "guest matrix" "02.0001 02.0002" guest_matrix A
expect "matrix" "01.0001 01.0002 02.0001 02.0002" matrix A
# Once by the driver, and once by the AP bus when it lets go of the queue.
expect "resets of 01.0001" 2 zapqs 01.0001
expect "resets of 01.0002" 1 zapqs 01.0002
expect "resets of 02.0001" 0 zapqs 02.0001
expect "status of 01.0002" assigned cat $ap/devices/01.0002/status
expect_commits 1 A bind 01.0001
expect "masks with adapter 1" "apm=1-2 aqm=1-2 adm=none" masks A
expect "status of 01.0002" "in use" cat $ap/devices/01.0002/status
