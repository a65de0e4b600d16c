# SPDX-License-Identifier: GPL-2.0
# The host is interrupted by the reply that it waits for.
#
# The host does not poll a queue with interruptions enabled. Without an interruption it would wait
# for minutes.
# machine: adapter 0 cex8a

# interruptions: of all CPUs.
interruptions() { awk '$1 == "APB:" { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i; print n }' /proc/interrupts; }
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
