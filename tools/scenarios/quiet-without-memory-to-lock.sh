# SPDX-License-Identifier: GPL-2.0
# A guest whose user may lock no memory cannot fill the kernel log by asking for interruptions.
#
# The type 1 IOMMU prints a message for each page that it cannot pin for this reason. This driver
# therefore stops asking for pages of such a user. The C driver asks each time. An iommufd prints
# nothing.
# timeout: 90

echo "nobody:x:65534:65534::/:/bin/sh" >>/etc/passwd
said() { dmesg | grep -c "RLIMIT_MEMLOCK" || :; }

mdev_with A 1 1
chmod 666 /dev/kvm /dev/iommu /dev/vfio/vfio /dev/vfio/[0-9]* /dev/vfio/devices/*
for backend in $backends; do
	before=$(said)
	_start A su -s /bin/sh nobody -c "ulimit -l 0; exec apvmm --backend $backend --run 1 --look 0,0 $(uuid A)"
	n=0
	while [ $n -lt 40 ]; do
		case $(response A enable 01.0001) in rc=06 | rc=05) ;; *) fail "it was not refused" ;; esac
		n=$((n + 1))
	done
	lines=$(($(said) - before))
	echo "$backend: $lines lines"
	[ $backend = group ] || expect "lines with an iommufd" 0 echo $lines
	if_rust [ $lines -le 8 ] || fail "a guest has written $lines lines"
	vm_close A
done
