# SPDX-License-Identifier: GPL-2.0
# A mediated device has one user.

give_to_vfio_ap "1" ""
load_driver
mdev A
assign A adapter 1 domain 1
vm_open A
expect_error EBUSY vm_start second A
vm_close A
vm_open A iommufd
expect_error EINVAL vm_start second A --backend iommufd
expect_error EBUSY vm_start second A
expect "masks of the first" "apm=1 aqm=1 adm=none" masks A
