# SPDX-License-Identifier: GPL-2.0
# A scan that takes one adapter and brings another kicks each CPU of a guest once.
#
# The C driver changes the masks twice and kicks twice. Only a CPU in SIE can be kicked, and the
# scenario therefore has several rounds. Nothing else kicks a guest that only computes.
# cpus: 3
# timeout: 120
# machine: adapter 1-3 cex8c ; apm = 0,1,3 ; aqm = 0-3

rounds=4

# at_most WHAT N ACTUAL, more_than WHAT N ACTUAL
at_most() {
	[ "$3" -le "$2" ] || fail "$1: $3, at most $2 expected"
	echo "ok: $1: $3, at most $2"
}
more_than() {
	[ "$3" -gt "$2" ] || fail "$1: $3, more than $2 expected"
	echo "ok: $1: $3, more than $2"
}

mdev_with A "1 2 3" "1 2"
# CPU 0 for us, 1 and 2 for the guest, so that nothing else makes it leave SIE.
taskset -p 1 $$ >/dev/null
vm_open A group --run 2 --pin
with_1="01.0001 01.0002 03.0001 03.0002"
with_2="02.0001 02.0002 03.0001 03.0002"
expect "at first" "$with_1" vm A guest queues
machine sie reset
expect "again" "$with_1" vm A guest queues
expect "kicks by nothing" 0 machine sie kicks

before=$(commits A)
round=0
while [ $round -lt $rounds ]; do
	machine "apm - 1 ; apm + 2"
	scan
	expect "with adapter 2" "$with_2" vm A guest queues
	machine "apm - 2 ; apm + 1"
	scan
	expect "with adapter 1" "$with_1" vm A guest queues
	round=$((round + 1))
done
scans=$((2 * rounds))
changes=$(($(commits A) - before))
if_rust expect "changes of the masks" $scans echo $changes
if_c expect "changes of the masks" $((2 * scans)) echo $changes
for cpu in 0 1; do
	kicks=$(machine sie $cpu kicks)
	more_than "kicks of CPU $cpu" 0 "$kicks"
	at_most "kicks of CPU $cpu" $changes "$kicks"
done
machine sie
