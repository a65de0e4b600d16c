# SPDX-License-Identifier: GPL-2.0
# The file of a migration ends with its state, and accepts no more bytes than the longest stream.
# drivers: rust

mdev_with A 1 "1 2"
vm_open A
# These states have no file.
vm A migration to stop
expect_error EBADF vm A migration save /tmp/stream 1
for state in pre-copy error 5 8 99; do
	expect_error EINVAL vm A migration to $state
done
expect "the state" stop vm A migration state

# Reading a file.
vm A migration to stop-copy
expect_error EBADF vm A migration load /proc/version 1
expect "saved" 160 vm A migration save /tmp/stream 100000
vm A migration to stop
expect_error ENODEV vm A migration save /tmp/end 1

# Writing a file. The longest stream has 256 adapters with 256 domains.
vm A migration to resuming
expect_error EBADF vm A migration save /tmp/end 1
dd if=/dev/zero of=/tmp/huge bs=1024 count=1537 2>/dev/null
expect_error EFBIG vm A migration load /tmp/huge 65536
expect_error EINVAL vm A migration to stop
expect "the state" resuming vm A migration state
expect_error ENODEV vm A migration load /tmp/stream 1
vm A reset
expect "the state" running vm A migration state

# A guest that has not run on the destination can move on.
vm A migration to resuming
vm A migration load /tmp/stream 5
expect "the length" 160 vm A migration size
vm A migration to stop-copy
expect "saved again" 160 vm A migration save /tmp/again 3
cmp /tmp/stream /tmp/again
vm A reset

# A file outlives its state, the device, the mdev and the virtual machine. Each access then fails.
vm A migration to resuming
vm A migration load /tmp/stream 1
vm A close
expect_error ENODEV vm A migration load /tmp/stream 1
remove_mdev A
expect_error ENODEV vm A migration load /tmp/stream 1
# The file holds a reference to the module.
expect_error EAGAIN unload_driver
vm A migration drop
unload_driver
load_driver
