# SPDX-License-Identifier: GPL-2.0
# Assign one more number to an mdev that has nearly all numbers, and unassign it. Then assign all
# numbers at once.
# count: instructions
. /scenarios/measure.sh

# The matrix without the last adapter, domain and control domain.
nearly=$(mask $last),$(mask $last),$(mask $last)

# once WHOSE: measure one change of each kind. WHOSE is `guest` or `idle`.
once() {
	for _kind in adapter domain control_domain; do
		measure assign-$_kind-"$1" write $_mdev/assign_$_kind $last
		measure unassign-$_kind-"$1" write $_mdev/unassign_$_kind $last
	done
	measure ap_config-nothing-"$1" write $_mdev/ap_config "$no_masks"
	measure ap_config-all-"$1" write $_mdev/ap_config "$full"
	measure ap_config-no-change-"$1" write $_mdev/ap_config "$full"
	set_attr A ap_config "$nearly"
}

prepare
machine "queue *.* reset-polls 0"
mdev A
set_attr A ap_config "$nearly"
repeat once idle
vm_open A group --vcpus 1
_identify A
repeat once guest
clean
