# SPDX-License-Identifier: GPL-2.0
# A mediated device can only be opened for a virtual machine of KVM.

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
expect_error EINVAL vm_open A group --unlinked
expect_error EINVAL vm_open A iommufd --unlinked
expect "status of 01.0001" assigned cat $ap/devices/01.0001/status
vm_open A
expect "masks" "apm=1 aqm=1 adm=none" masks A
