# SPDX-License-Identifier: GPL-2.0
# When QEMU is killed, its queues are reset, and the next QEMU can have them.
# image: clients
# memory: 1024
# timeout: 120
# needs: iommufd

mdev_with A "1 2" 1
qemu A group
count_from_zero
qemu_kill A
expect "status of 01.0001" assigned cat $ap/devices/01.0001/status
expect "resets of 01.0001" 1 zapqs 01.0001
expect "resets of 02.0001" 1 zapqs 02.0001
qemu A iommufd
expect "masks of the next" "apm=1-2 aqm=1 adm=none" qemu_masks A
qemu_kill A
expect "status of 01.0001 then" assigned cat $ap/devices/01.0001/status
unload_driver
