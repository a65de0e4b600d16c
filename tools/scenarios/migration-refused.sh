# SPDX-License-Identifier: GPL-2.0
# A guest cannot move to an mdev that lacks a queue, or has another kind of queue. The log names both.
#
# The destination can have more than the source, and a later type of adapter.
# drivers: rust
# machine: adapter 1 cex7c ; adapter 2 cex8c ; adapter 3 cex7p

give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
# saved ADAPTER TYPE: write the stream of a guest that has domain 1 of an adapter of a type.
saved() {
	machine "adapter $1 $2"
	scan
	vm_open A
	vm A migration to stop-copy
	vm A migration save "/tmp/$2" 4096
	vm_close A
}
# refused STREAM ERRNO REASON: require that the mdev refuses a stream.
refused() {
	vm_open A
	vm A migration to resuming
	vm A migration load "$1" 4096
	expect_error "$2" vm A migration to running
	dmesg_has "vfio_ap_mdev $(uuid A): migration refused: $3\$"
	expect "the guest has nothing" "" guest_matrix A
	# A reset restores the initial state of the mdev.
	vm A reset
	expect "the guest has its own queues" 01.0001 guest_matrix A
	vm_close A
}
# accepted STREAM: require that the mdev accepts a stream.
accepted() {
	vm_open A
	vm A migration to resuming
	vm A migration load "$1" 4096
	vm A migration to running
	vm_close A
}

assign A adapter 1 domain 1
saved 1 cex8c
saved 1 cex7a
saved 1 cex7p
saved 1 cex7c
accepted /tmp/cex7c
refused /tmp/cex8c ENODEV "queue 01.0001 is of type 13, not 14 or later"
refused /tmp/cex7a ENODEV "queue 01.0001 differs in CCA mode"
refused /tmp/cex7p ENODEV "queue 01.0001 differs in CCA mode"
machine "adapter 1 cex8c"
scan
accepted /tmp/cex7c
machine "adapter 1 cex7c"
scan

# The destination lacks a queue or a control domain.
assign A domain 2 control_domain 2
vm_open A
vm A migration to stop-copy
vm A migration save /tmp/more 4096
vm_close A
unassign A domain 2
refused /tmp/more ENODEV "queue 01.0002 is not available"
unassign A control_domain 2
assign A domain 2
accepted /tmp/cex7c
unassign A domain 1
assign A domain 1
vm_open A
vm A migration to resuming
vm A migration load /tmp/more 4096
expect_error ENODEV vm A migration to stop
dmesg_has "migration refused: control domain 0002 is not available\$"
# Changes after the check take effect when the guest runs.
vm A reset
assign A control_domain 2
vm A migration to resuming
vm A migration load /tmp/more 4096
vm A migration to stop
unbind 01.0002
expect_error ENODEV vm A migration to running
expect "the state" stop vm A migration state
expect "the guest has nothing" "" guest_matrix A
bind 01.0002
vm A migration to running
expect "the guest" "01.0001 01.0002" guest_matrix A
vm_close A

# Invalid streams change nothing, and the log stays short.
unassign A domain 2
unassign A control_domain 2
printf 'VFIO-AP' >/tmp/short
refused /tmp/short EINVAL "wrong length"
: >/tmp/empty
refused /tmp/empty EINVAL "wrong length"
printf 'VFIO-AQ\0' >/tmp/magic
dd if=/tmp/cex7c bs=1 skip=8 >>/tmp/magic 2>/dev/null
refused /tmp/magic EINVAL "not a description of an AP configuration"
printf 'VFIO-AP\0\0\2' >/tmp/version
dd if=/tmp/cex7c bs=1 skip=10 >>/tmp/version 2>/dev/null
refused /tmp/version EINVAL "version 2 of the format is not known"
cat /tmp/cex7c /tmp/cex7c >/tmp/long
refused /tmp/long EINVAL "wrong length"
vm_open A
refusals() { dmesg | grep -c 'migration refused'; }
before=$(refusals) begin=$(seconds)
for _ in $(seq 45); do
	vm A migration to resuming
	expect_error EINVAL vm A migration to stop
	vm A reset
done >/dev/null
vm_close A
messages=$(($(refusals) - before)) minutes=$((($(seconds) - begin) / 60))
# Twenty messages in each minute that the loop has touched
[ $messages -le $((20 * (minutes + 2))) ] || fail "45 refusals wrote $messages messages in $minutes minutes"
echo "ok: 45 refusals wrote $messages messages"
