# SPDX-License-Identifier: GPL-2.0
# A guest has one AP configuration and can have one mediated device.
# needs: iommufd

give_to_vfio_ap "1 2" ""
load_driver
mdev A
mdev B
assign A adapter 1 domain 1
assign B adapter 2 domain 1
vm_open A
expect_error EPERM vm A open "$(uuid B)"
expect_error EPERM vm A open "$(uuid B)" iommufd
expect "masks" "apm=1 aqm=1 adm=none" masks A
expect "commits" 1 commits A
expect "status of 02.0001" assigned cat $ap/devices/02.0001/status
vm_open B
expect "masks of B in a guest of its own" "apm=2 aqm=1 adm=none" masks B
