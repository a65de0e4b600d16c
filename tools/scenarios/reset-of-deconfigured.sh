# SPDX-License-Identifier: GPL-2.0
# VFIO_DEVICE_RESET succeeds for deconfigured and check-stopped queues.
#
# Such a queue holds no data of anybody, and a guest may have it. The C driver returns EIO.

mdev_with A "1 2" 1
vm_open A
machine "queue 01.0001 state deconfigured"
if_c expect_error EIO vm A reset
if_rust vm A reset
machine "queue 01.0001 state online ; queue 02.0001 state checkstopped"
if_c expect_error EIO vm A reset
if_rust vm A reset
expect "masks" "apm=1-2 aqm=1 adm=none" masks A
machine "queue 02.0001 state online"
vm A reset
