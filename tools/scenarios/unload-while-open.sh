# SPDX-License-Identifier: GPL-2.0
# Unloading is refused while a virtual machine has a mediated device open, and is possible after it
# is closed.

mdev_with A 1 1
vm_open A
expect_error EAGAIN unload_driver
expect "masks after the attempt" "apm=1 aqm=1 adm=none" masks A
vm_close A
unload_driver
