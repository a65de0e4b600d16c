# SPDX-License-Identifier: GPL-2.0
# chzcrypt switches cards and queues of the host on and off, but not queues of guests.
#
# A deconfigured adapter of a guest stays with the guest and works again afterwards.
# image: clients
# timeout: 120

# status ID: the status that lszcrypt shows.
status() { debian lszcrypt -V "$1" | sed -n "s/^$1 .* CCA-Coproc \+\([a-z ]*[a-z]\) .*/\1/p"; }

mdev_with A 1 1
vm_open A

expect "a queue of the host off" "" debian chzcrypt -d 00.0001
expect "status of 00.0001" offline status 00.0001
expect "a queue of the host on" "" debian chzcrypt -e 00.0001
expect "status of 00.0001" online status 00.0001
expect_refusal "can't write to /sys/bus/ap/devices/card01/01.0001/online" debian chzcrypt -d 01.0001

expect "the card off" "" debian chzcrypt -d 1
expect "status of 01.0001" "in use" status 01.0001
expect "the card on" "" debian chzcrypt -e 1

expect_commits 0 A debian chzcrypt --config-off 1
expect "status of card 01" deconfig status 01
expect "status of 01.0001" "in use" status 01.0001
expect_commits 0 A debian chzcrypt --config-on 1
expect "status of card 01" online status 01
expect "status of 01.0001" "in use" status 01.0001
expect "masks" "apm=1 aqm=1 adm=none" masks A
