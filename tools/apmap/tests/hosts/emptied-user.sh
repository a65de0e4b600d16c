# SPDX-License-Identifier: GPL-2.0
# The same as emptied, recorded by a user who may not read debugfs and other people's processes.

record_as=nobody
echo "$record_as:x:65534:65534::/:/bin/sh" >>/etc/passwd
give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1
vm_open A
machine "apm - 2"
scan
unbind 01.0001
