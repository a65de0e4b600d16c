# SPDX-License-Identifier: GPL-2.0
# Two Linux guests compute while the host configuration changes; each scan commits once to the guest
# that it concerns, and no program loses a message.
#
# Adapters 3 and 4 of guest A alternate. Its programs always have adapter 1. Guest B has other
# adapters. The C driver commits twice.
# machine: adapter 1-4 cex7a ; apm = 0-3
# kernel: usual
# image: clients linux
# memory: 1024
# cpus: 2
# timeout: 300
# needs: iommufd

has_answers() { guest "$1" '[ -s /tmp/answers.1 ] && [ -s /tmp/answers.2 ]'; }
ended() { guest "$1" '[ -e /tmp/end.1 ] && [ -e /tmp/end.2 ]'; }

# turn LEAVES COMES: replace an adapter of the host by another one.
turn() {
	before_a=$(qemu_commits A) before_b=$(qemu_commits B)
	machine "apm - $1 ; apm + $2"
	scan
	expect "guest matrix" "01.0001 0$2.0001" guest_matrix A
	if_rust expect "commits to A" $((before_a + 1)) qemu_commits A
	if_c expect "commits to A" $((before_a + 2)) qemu_commits A
	expect "commits to B" "$before_b" qemu_commits B
	wait_until "A has adapter $2" guest_queues_are A "01.0001 0$2.0001"
}

give_to_vfio_ap "1 2 3 4" ""
load_driver
mdev A
mdev B
assign A adapter 1 3 4 domain 1
assign B adapter 2 domain 1 2
linux A group
linux B iommufd
expect "queues of A" "01.0001 03.0001" guest_queues A
expect "queues of B" "02.0001 02.0002" guest_queues B
for name in A B; do
	for program in 1 2; do
		loop="while [ ! -e /tmp/stop ]; do aprsa crt 1024 5 || :; done"
		guest $name "{ $loop; : >/tmp/end.$program; } >/tmp/answers.$program 2>&1 &"
	done
done
for name in A B; do
	wait_until "both programs of $name work" has_answers $name
done
machine sie reset
for round in 1 2 3; do
	turn 3 4
	turn 4 3
done
# Each commit kicks the CPUs of A that run at that moment. Nothing else kicks them.
most=6
if_c eval most=12
for cpu in 0 1; do
	kicks=$(machine sie $cpu kicks)
	[ "$kicks" -le $most ] || fail "CPU $cpu of both guests was kicked $kicks times"
	echo "ok: kicks of CPU $cpu of both guests: $kicks, at most $most"
done
for name in A B; do
	guest $name ': >/tmp/stop'
	wait_until "the programs of $name have ended" ended $name
	expect "answers in $name" right guest $name 'sort -u /tmp/answers.*'
	guest $name 'wc -l /tmp/answers.*'
done
