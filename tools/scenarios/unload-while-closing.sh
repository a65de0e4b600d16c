# SPDX-License-Identifier: GPL-2.0
# The driver can be unloaded only after VFIO's core has released the last device.
#
# A process that only opens the file of a device holds a reference to the registered device but not
# to the module. On close, the core wakes the waiters and drops the device afterwards. In this
# scenario the closing process gets no CPU in between until the module is gone. The core must not
# call into the freed module. With the C driver it does, and only chance decides if that is noticed.
# drivers: rust

give_to_vfio_ap "1" ""
load_driver
mdev A
node=$(ls "$mdevs/$(uuid A)/vfio-dev")
apclose "/dev/vfio/devices/$node" $((2 * $(nproc)))
[ ! -d /sys/module/vfio_ap ] || fail "the module is still there"
load_driver
mdev A
