# SPDX-License-Identifier: GPL-2.0
# Creating an mdev while the host configuration changes is free of data races.
#
# KCSAN watches each access of the C driver. The C driver initialises an mdev from its copy of the
# configuration without the lock under which a scan replaces the copy. KCSAN cannot watch Rust code.
# This driver keeps the configuration in a mutex, and the compiler allows no access without it.
# kernel: races
# cpus: 2
# timeout: 600
# expect-kernel[c]: BUG: KCSAN: data-race in vfio_ap_mdev_init_dev .* / vfio_ap_on_cfg_changed

# Without queues a scan makes few accesses, so that it often comes to the one that matters; even so
# it takes tens of attempts until both are there at the same time.
give_to_vfio_ap "" ""
load_driver
echo on >/sys/kernel/debug/kcsan
(
	while [ ! -e /tmp/end ]; do
		machine "adm - 3"
		echo 1 >$ap/scans
		machine "adm + 3"
		echo 1 >$ap/scans
	done
) &
raced() { dmesg | grep -q "KCSAN: data-race"; }
rounds=20
if_c rounds=300
_round=0
while [ $_round -lt $rounds ] && ! raced; do
	mdev A
	remove_mdev A
	_round=$((_round + 1))
done
touch /tmp/end
wait
echo off >/sys/kernel/debug/kcsan
