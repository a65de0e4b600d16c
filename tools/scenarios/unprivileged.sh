# SPDX-License-Identifier: GPL-2.0
# An unprivileged user can read the matrix, and can read and change nothing else.

echo "nobody:x:65534:65534::/:/bin/sh" >>/etc/passwd
# refused COMMAND...: nobody may not do it.
refused() {
	if su -s /bin/sh nobody -c "$*" >/run/said 2>&1; then
		fail "nobody may do it: $*"
	fi
	grep -q "Permission denied" /run/said || fail "'$*' was refused otherwise: $(cat /run/said)"
	echo "ok: refused: $*"
}
allowed() {
	su -s /bin/sh nobody -c "$*" >/dev/null || fail "nobody may not do it: $*"
	echo "ok: allowed: $*"
}

mdev_with A 1 1
device=$mdevs/$(uuid A)
for name in matrix guest_matrix control_domains ap_config; do allowed cat "$device/$name"; done
allowed cat $ap/devices/01.0001/status
allowed cat $parent/features

for kind in adapter domain control_domain; do
	refused "echo 2 >$device/assign_$kind"
	refused "echo 1 >$device/unassign_$kind"
done
refused "echo 0x0,0x0,0x0 >$device/ap_config"
refused "echo 1 >$device/remove"
refused "echo $(uuid B) >$parent/mdev_supported_types/$type/create"
refused "echo 01.0001 >$ap/drivers/vfio_ap/unbind"
refused "echo 01.0001 >$ap/drivers/vfio_ap/bind"
group=$(basename "$(readlink "$device/iommu_group")")
refused "cat /dev/vfio/$group"
for node in /dev/vfio/devices/*; do refused "cat $node"; done
refused ls /sys/kernel/debug/vfio_ap
refused cat /sys/kernel/debug/s390dbf/vfio_ap/sprintf
expect "matrix" "01.0001" matrix A
