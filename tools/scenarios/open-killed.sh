# SPDX-License-Identifier: GPL-2.0
# A virtual machine monitor that crashes leaves nothing behind.

mdev_with A 1 "1 2"
for backend in $backends; do
	vm_open A $backend
	count_from_zero
	vm_kill A
	expect "status of 01.0001" assigned cat $ap/devices/01.0001/status
	expect "resets of 01.0001" 1 zapqs 01.0001
	expect "resets of 01.0002" 1 zapqs 01.0002
done
