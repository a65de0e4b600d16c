# SPDX-License-Identifier: GPL-2.0
# Open and close an mdev with all queues, and read its attributes.
# count: instructions
. /scenarios/measure.sh

once() {
	measure close vm A measure close
	measure open vm A measure open $_uuid
	for _attribute in matrix guest_matrix control_domains ap_config; do
		measure read-$_attribute read $_mdev/$_attribute
	done
	measure read-status read $ap/devices/01.0001/status
}

prepare
machine "queue *.* reset-polls 0"
guest A
_identify A
repeat once
clean
