# SPDX-License-Identifier: GPL-2.0
# Opening and closing work as in open-close, by the device's own file and an iommufd.
# needs: iommufd

mdev_with A "1 2" 1
vm_open A iommufd --vcpus 1
expect "masks" "apm=1-2 aqm=1 adm=none" masks A
expect "info" "flags=0x21 regions=0 irqs=2" vm A info
count_from_zero
vm A close
expect "masks after close" clear masks A
expect "resets of 01.0001" 1 zapqs 01.0001
expect "resets of 02.0001" 1 zapqs 02.0001
vm A open "$(uuid A)" iommufd
expect "masks when opened again" "apm=1-2 aqm=1 adm=none" masks A
