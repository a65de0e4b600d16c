# SPDX-License-Identifier: GPL-2.0
# All benches with one CPU, in one machine, because a machine with 1,024 queues takes a minute to boot.
# count: instructions
# timeout: 1800
. /scenarios/measure.sh

for bench in core memory probe assign open interrupts wait scan; do
	echo "bench $bench"
	# shellcheck source=/dev/null
	. "/scenarios/$bench.sh"
done
# The counter is still correct.
for length in 1000 1234567; do
	expect "a loop of $length" $length apcount loop $length
done
