# SPDX-License-Identifier: GPL-2.0
# The memory of queues and mdevs, as the growth of the kernel's slab caches.
# count: instructions
. /scenarios/measure.sh

mdevs_made=8

# slabs: print the bytes of all objects in slab caches.
slabs() { awk 'NR > 2 { sum += $2 * $4 } END { printf "%d\n", sum }' /proc/slabinfo; }

# settle: wait until RCU has freed memory, and shrink the caches.
settle() {
	sleep 1
	for _cache in /sys/kernel/slab/*/shrink; do echo 1 >"$_cache"; done
}

prepare
unload_driver
settle
without=$(slabs)
load_driver
settle
with=$(slabs)
report memory-queue bytes=$(((with - without) / SIZE / SIZE))
_n=0
while [ $_n -lt $mdevs_made ]; do
	mdev "$(printf %02d $_n)"
	_n=$((_n + 1))
done
settle
report memory-mdev bytes=$((($(slabs) - with) / mdevs_made))
clean
