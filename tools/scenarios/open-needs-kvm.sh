# SPDX-License-Identifier: GPL-2.0
# A mediated device can only be opened for a virtual machine of KVM.
# needs: iommufd

mdev_with A 1 1
expect_error EINVAL vm_open A group --unlinked
expect_error EINVAL vm_open A iommufd --unlinked
expect "status of 01.0001" assigned cat $ap/devices/01.0001/status
vm_open A
expect "masks" "apm=1 aqm=1 adm=none" masks A
