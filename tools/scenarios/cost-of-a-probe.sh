# SPDX-License-Identifier: GPL-2.0
# Binding a queue of a guest costs the same for a guest with 1 queue and with 16.
#
# The C driver looks at the whole matrix for each bound queue and for each queue of an assignment.
# The unit is instructions, which do not depend on the load of the build host. `make bench` measures
# the costs.
# count: instructions

# cost: the instructions of the driver itself to bind a queue.
cost() {
	for _round in 1 2 3; do
		ktry write $ap/drivers/vfio_ap/unbind 01.0001 >/dev/null
		_counts=$(apcount write $ap/drivers/vfio_ap/bind 01.0001)
	done
	_counts=${_counts#*own=}
	echo "${_counts%% *}"
}

# with ADAPTERS DOMAINS: their queues are all that the guest has.
with() {
	set_attr A ap_config "$1,$2,0x0"
	cost
}

give_to_vfio_ap "0 1 2 3" ""
machine "queue *.* reset-polls 0"
load_driver
mdev A
vm_open A
small=$(with 0x4 0x4)
large=$(with 0xf 0xf)
echo "a guest with 1 queue: $small, with 16: $large"
grown() { [ $((large * 5)) -le $((small * 6)) ] || echo grown; }
if_rust expect "by more than a fifth" "" grown
if_c expect "by more than a fifth" grown grown
