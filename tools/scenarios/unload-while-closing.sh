# SPDX-License-Identifier: GPL-2.0
# The driver is gone only when VFIO's core is through with its last device.
#
# Whoever opens the file of a device, and no more, has a device that is registered, but not its module.
# When it is closed, the core wakes those who wait for that, and gives back the device after it. Here the
# one who closes it gets no CPU in between, until the module is gone. The core must not call
# what was there. With the C driver it does, and whether that is seen is a matter of luck.
# drivers: rust

give_to_vfio_ap "1" ""
load_driver
mdev A
node=$(ls "$mdevs/$(uuid A)/vfio-dev")
apclose "/dev/vfio/devices/$node" $((2 * $(nproc)))
[ ! -d /sys/module/vfio_ap ] || fail "the module is still there"
load_driver
mdev A
