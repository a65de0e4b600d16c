# SPDX-License-Identifier: GPL-2.0
# A scan that takes one adapter and brings another kicks a guest's CPUs out of SIE.
#
# Only a CPU in SIE can be kicked. The number of CPUs is the upper bound.
# cpus: 3
# timeout: 1800
# count: instructions
. /scenarios/measure.sh

# swap FROM TO: replace an adapter of the host by another one.
swap() {
	machine "apm - $1 ; apm + $2 ; sie reset"
	_before=$(commits A)
	scan
	vm A guest queues >/dev/null
	for _cpu in 0 1; do
		report scan-swap-adapters kicks="$(machine sie $_cpu kicks)" \
			commits=$(($(commits A) - _before))
	done
}

prepare
machine "queue *.* reset-polls 0 ; apm - $last"
scan
mdev A
set_attr A ap_config "$full"
taskset -p 1 $$ >/dev/null
vm_open A group --run 2 --pin --look "$last,$last"
for _round in 1 2 3; do
	swap 0 $last
	swap $last 0
done
