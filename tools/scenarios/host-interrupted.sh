# SPDX-License-Identifier: GPL-2.0
# The host is interrupted when the reply comes that it waits for.
#
# It does not poll a queue with interruptions enabled: without one it would wait for
# minutes.
# machine: adapter 0 cex8a

interruptions() {
	while read -r _name _count _; do
		[ "$_name" != APB: ] || echo "$_count"
	done </proc/interrupts
}
waits() { case $(machine show) in *"# 00."*"messages: 1"*) return 0 ;; *) return 1 ;; esac; }

load_driver
expect "the first request" right aprsa modexpo 1024
machine "queue 00.* reply-polls forever"
aprsa crt 2048 >/run/result &
wait_until "the message is in the queue" waits
before=$(interruptions)
machine "queue 00.* reply-polls 0"
wait $!
expect "result" right cat /run/result
expect "interruptions" $((before + 1)) interruptions
