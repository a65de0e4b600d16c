# SPDX-License-Identifier: GPL-2.0
# Each request of VFIO gets the right answer, and so does each malformed one.
#
# Each line has the answer of the C driver, the answer of this driver, and the request with the
# words of its argument. The memory of the argument ends after the last word. For SET_IRQS the words
# are size, flags, index, start, count and data. The flags are 1 no data, 2 bools, 4 eventfds, 8
# mask, 0x10 unmask, 0x20 trigger.
#
# This driver differs in three points. A request without data and with a count of 0 removes the
# eventfd, as VFIO defines it. A request with a count of 0 reads no data. A request has one action.
# needs: iommufd

answers() {
	while read -r c rust request; do
		if [ $DRIVER = c ]; then expected=$c; else expected=$rust; fi
		answer=ok
		vm A ioctl $request >/tmp/answer || read -r answer </tmp/answer
		[ "${answer##* }" = $expected ] ||
			fail "'$request': $expected was expected, got: $answer"
		echo "ok: $expected: $request"
	done
}

mdev_with A 1 1
vm_open A
answers <<EOF
ok         ok         get-info 16 0 0 0
ok         ok         get-info 100 0 0 0
EINVAL     EINVAL     get-info 15 0 0 0
EINVAL     EINVAL     get-info 0 0 0 0
EFAULT     EFAULT     get-info 16 0 0
EFAULT     EFAULT     get-info
EFAULT     EFAULT     read-only get-info 16 0 0 0
ok         ok         get-irq-info 16 0 0 0
ok         ok         get-irq-info 16 0 1 0
EINVAL     EINVAL     get-irq-info 16 0 2 0
EINVAL     EINVAL     get-irq-info 16 0 -1 0
EINVAL     EINVAL     get-irq-info 15 0 0 0
EFAULT     EFAULT     get-irq-info 16 0 0
EFAULT     EFAULT     get-irq-info
EFAULT     EFAULT     read-only get-irq-info 16 0 0 0
ok         ok         set-irqs 24 0x24 0 0 1 eventfd
ok         ok         set-irqs 24 0x24 1 0 1 eventfd
ok         ok         set-irqs 24 0x24 1 0 1 eventfd
ok         ok         set-irqs 24 0x24 1 0 1 -1
ok         ok         set-irqs 24 0x24 1 0 1 -1
ok         ok         read-only set-irqs 24 0x24 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x24 0 0 1 -2
EBADF      EBADF      set-irqs 24 0x24 0 0 1 9999
EINVAL     EINVAL     set-irqs 24 0x24 0 0 1 file
EINVAL     EINVAL     set-irqs 19 0x24 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 23 0x24 0 0 1 eventfd
EFAULT     EFAULT     set-irqs 24 0x24 0 0 1
EFAULT     EFAULT     set-irqs 24 0x24 0 0
EFAULT     EFAULT     set-irqs
EINVAL     EINVAL     set-irqs 24 0x24 2 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x24 -1 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x24 0 1 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x24 0 -1 1 eventfd
EINVAL     EINVAL     set-irqs 28 0x24 0 0 2 eventfd eventfd
EINVAL     EINVAL     set-irqs 24 0x24 0 0 -1 eventfd
EINVAL     EINVAL     set-irqs 24 0x24 0 1 0 eventfd
EFAULT     EINVAL     set-irqs 20 0x24 0 0 0
ok         EINVAL     set-irqs 20 0x24 0 0 0 eventfd
EINVAL     ok         set-irqs 20 0x21 0 0 0
EINVAL     ok         set-irqs 20 0x21 1 0 0
EINVAL     EINVAL     set-irqs 20 0x21 2 0 0
EINVAL     EINVAL     set-irqs 20 0x21 0 1 0
EINVAL     EINVAL     set-irqs 20 0x21 0 0 1
EINVAL     EINVAL     set-irqs 24 0x22 0 0 1 1
EINVAL     EINVAL     set-irqs 24 0x22 0 0 0 1
EINVAL     EINVAL     set-irqs 24 0x20 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x25 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x26 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x27 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x04 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x0c 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x14 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x1c 0 0 1 eventfd
ok         EINVAL     set-irqs 24 0x2c 0 0 1 eventfd
ok         EINVAL     set-irqs 24 0x34 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x09 0 0 0 0
EINVAL     EINVAL     set-irqs 24 0x11 0 0 0 0
EINVAL     EINVAL     set-irqs 24 0x0a 0 0 1 1
EINVAL     EINVAL     set-irqs 24 0x12 0 0 1 1
EINVAL     EINVAL     set-irqs 24 0x64 0 0 1 eventfd
EINVAL     EINVAL     set-irqs 24 0x80000024 0 0 1 eventfd
ok         ok         reset
ok         ok         reset 1 2 3
EINVAL     EINVAL     0x3b6c 32 0 0 0 0 0 0 0
EOPNOTSUPP EOPNOTSUPP 0x3b70 32 0 0 0
EOPNOTSUPP EOPNOTSUPP 0x3b77 16 0 0 0
EOPNOTSUPP EOPNOTSUPP 0x3b63
EOPNOTSUPP EOPNOTSUPP 0x1234
EOPNOTSUPP EOPNOTSUPP 0
EOF
