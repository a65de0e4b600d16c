# SPDX-License-Identifier: GPL-2.0
# A guest moves from one emulated machine to another, and computes RSA on both.
#
# Without STREAM, this machine is the source, and the scenario prints the stream in hexadecimal. With
# STREAM, this machine is the destination, which has later adapters. tools/testbed/test.sh runs both.
# drivers: rust
# machine: adapter 1 cex7a ; adapter 2 cex7a

[ -z "${STREAM:-}" ] || machine "adapter 1 cex8a ; adapter 2 cex8a"
mdev_with A "1 2" "1 2"
queues="01.0001 01.0002 02.0001 02.0002"
has_all() { [ "$(vm A guest queues)" = "$queues" ]; }
vm_open A group --run 1
if [ -z "${STREAM:-}" ]; then
	wait_until "the guest has its queues" has_all
	expect "RSA" right vm A guest rsa 01.0001
	vm A migration to stop-copy
	expect "saved" 208 vm A migration save /tmp/stream 4096
	vm_close A
	echo "@STREAM $(od -An -v -tx1 /tmp/stream | tr -d ' \n')"
else
	# shellcheck disable=SC2059 # the bytes are the format
	printf "$(echo "$STREAM" | sed 's/../\\x&/g')" >/tmp/stream
	vm A migration to resuming
	expect "loaded" 208 vm A migration load /tmp/stream 4096
	expect "no queues before the guest runs" none vm A guest queues
	vm A migration to running
	wait_until "the guest has its queues" has_all
	for queue in $queues; do
		expect "RSA on $queue" right vm A guest rsa "$queue"
	done
fi
