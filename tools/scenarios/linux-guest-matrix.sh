# SPDX-License-Identifier: GPL-2.0
# Linux in a guest has exactly the queues in guest_matrix, by its AP bus and by lszcrypt.
#
# An adapter with a missing queue is not visible in the guest.
# kernel: usual
# image: clients linux
# memory: 1024
# timeout: 240

# lszcrypt_queues: as lszcrypt in the guest lists them.
lszcrypt_queues() {
	_queues=
	guest A debian lszcrypt >/tmp/lszcrypt
	while read -r _id _; do
		case $_id in ??.????) _queues="$_queues $_id" ;; esac
	done </tmp/lszcrypt
	echo ${_queues# }
}

mdev_with A "1 2 3" "1 3"
unbind 02.0003
queues="01.0001 01.0003 03.0001 03.0003"
# shellcheck disable=SC2086 # several options
linux A group $share_debian
expect "guest matrix" "$queues" guest_matrix A
expect "the guest's AP bus" "$queues" guest_queues A
expect "its adapters" "card01 card03" guest A 'cd /sys/bus/ap/devices; echo card*'
expect "drivers there" "cex4queue" guest A 'basename $(readlink /sys/bus/ap/devices/01.0001/driver)'
guest_debian A
expect "lszcrypt" "$queues" lszcrypt_queues
cat /tmp/lszcrypt
