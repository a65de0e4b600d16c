# SPDX-License-Identifier: GPL-2.0
# An mdev is created while the host configuration changes, and nobody reads what another one
# is just writing.
#
# KCSAN looks at each access of the C driver, which initialises an mdev from its copy of the
# configuration without the lock under which a scan replaces that. It cannot look at Rust code:
# ours has the configuration in a mutex, and the compiler sees to it that nobody reads it without.
# kernel: races
# cpus: 2
# timeout: 120
# expect-kernel[c]: BUG: KCSAN: data-race in vfio_ap_mdev_init_dev .* / vfio_ap_on_cfg_changed

give_to_vfio_ap "1" ""
load_driver
echo on >/sys/kernel/debug/kcsan
(
	while [ ! -e /tmp/end ]; do
		machine "apm - 1"
		scan
		machine "apm + 1"
		scan
	done
) &
raced() { dmesg | grep -q "KCSAN: data-race in vfio_ap_mdev_init_dev"; }
for _round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	mdev A
	remove_mdev A
	if raced; then break; fi
done
touch /tmp/end
wait
echo off >/sys/kernel/debug/kcsan
