# SPDX-License-Identifier: GPL-2.0
# The guest matrix does not depend on the order of assignments.
#
# All 24 orders of "adapter 0, domain 0, domain 1, adapter 1" give the same result while queue
# 01.0001 is missing (C3). Unbinding that queue afterwards gives it, too. Adapter 1 is filtered
# (C5).

# orders PREFIX WORD...: all orders of the words, one per line.
orders() {
	_prefix=$1
	shift
	if [ $# = 0 ]; then
		echo "$_prefix"
		return
	fi
	for _first; do
		_rest=
		for _other; do [ "$_other" = "$_first" ] || _rest="$_rest $_other"; done
		# shellcheck disable=SC2086
		(orders "$_prefix $_first" $_rest)
	done
}

# now VERB KIND:NUMBER: assign or unassign, without a process of its own.
now() { echo "${2#*:}" >"$mdevs/$a/$1_${2%:*}"; }

give_to_vfio_ap "0 1" ""
load_driver
unbind 01.0001
mdev A
a=$(uuid A)
orders "" adapter:0 adapter:1 domain:0 domain:1 >/tmp/orders
expect "number of orders" 24 grep -c . /tmp/orders
while read -r order; do
	for step in $order; do now assign "$step"; done
	[ "$(guest_matrix A)" = "00.0000 00.0001" ] ||
		fail "order $order gives the guest matrix '$(guest_matrix A)'"
	for step in $order; do now unassign "$step"; done
done </tmp/orders
echo "ok: 24 orders give the guest matrix 00.0000 00.0001"

bind 01.0001
assign A adapter 0 1 domain 0 1
expect "nothing is missing" "00.0000 00.0001 01.0000 01.0001" guest_matrix A
unbind 01.0001
expect "missing later" "00.0000 00.0001" guest_matrix A
expect "matrix" "00.0000 00.0001 01.0000 01.0001" matrix A
