# SPDX-License-Identifier: GPL-2.0
# VFIO describes the device correctly and resets it on request.

mdev_with A 1 "1 2"
vm_open A
# VFIO_DEVICE_FLAGS_RESET and VFIO_DEVICE_FLAGS_AP
expect "info" "flags=0x21 regions=0 irqs=2" vm A info
expect "request interrupt" "flags=0x1 count=1" vm A irq-info 0
expect "configuration interrupt" "flags=0x1 count=1" vm A irq-info 1
expect_error EINVAL vm A irq-info 2
count_from_zero
expect_commits 0 A vm A reset
expect "resets of 01.0001" 1 zapqs 01.0001
expect "resets of 01.0002" 1 zapqs 01.0002
expect "resets of 01.0003" 0 zapqs 01.0003
expect "masks" "apm=1 aqm=1-2 adm=none" masks A
