# SPDX-License-Identifier: GPL-2.0
# lszcrypt shows the queues of vfio_ap and their status.
# image: clients
# timeout: 120

# verbose ID: the line of lszcrypt -V about a card or queue.
verbose() { debian lszcrypt -V "$1" | grep "^$1 " | xargs; }

# plain ID...: which cards and queues are in the view that is not verbose.
plain() { debian lszcrypt "$@" | sed 1,2d | cut -c 1-7 | xargs; }

give_to_vfio_ap "1" ""
load_driver
expect "a queue for guests" "01.0001 CEX7C CCA-Coproc unassigned - - 13 09 SMCD--N--- vfio_ap" \
	verbose 01.0001
mdev A
assign A adapter 1 domain 1
expect "a queue of an mdev" "01.0001 CEX7C CCA-Coproc assigned - - 13 09 SMCD--N--- vfio_ap" \
	verbose 01.0001
vm_open A
expect "a queue of a guest" "01.0001 CEX7C CCA-Coproc in use - - 13 09 SMCD--N--- vfio_ap" \
	verbose 01.0001
expect "beside it" "01.0002 CEX7C CCA-Coproc unassigned - - 13 09 SMCD--N--- vfio_ap" verbose 01.0002
expect "its card" "01 CEX7C CCA-Coproc online 0 0 13 09 SMCD--N--- cex4card" verbose 01
expect "what the host uses" "00 00.0000 00.0001 00.0002 00.0003 01" plain 00 01
expect "capabilities" "card01 provides capability for:
RSA 4K Clear Key
CCA Secure Key
Long RNG
AP bus max message size limit 12 Kb" debian lszcrypt -c 1
# shellcheck disable=SC2317
domains() { debian lszcrypt -d | sed -n 3p | xargs; }
expect "domains" "00 B B B B . . . . . . . . . . . ." domains
# shellcheck disable=SC2317
features() { debian lszcrypt -b | head -n 1; }
expect "features of the bus" "features: APSC APXA QACT" features
