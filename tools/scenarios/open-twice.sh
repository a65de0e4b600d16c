# SPDX-License-Identifier: GPL-2.0
# A mediated device has at most one user.
# needs: iommufd

mdev_with A 1 1
vm_open A
expect_error EBUSY vm_start second A
vm_close A
vm_open A iommufd
expect_error EINVAL vm_start second A --backend iommufd
expect_error EBUSY vm_start second A
expect "masks of the first" "apm=1 aqm=1 adm=none" masks A
