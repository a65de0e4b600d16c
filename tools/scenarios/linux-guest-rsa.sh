# SPDX-License-Identifier: GPL-2.0
# A program in a Linux guest computes RSA on a queue of the guest, and gets an error when the
# adapter goes during a message.
#
# The program uses /dev/z90crypt. The queue works again when the adapter has come back.
# machine: adapter 1,2 cex7a
# kernel: usual
# image: clients linux
# memory: 1024
# timeout: 240

in_flight() { [ "$(machine counters 01.0001 nqap)" -gt 0 ]; }
ended() { guest A '[ -e /tmp/status ]'; }

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1
linux A group
for method in modexpo crt; do
	for bits in 1024 2048 4096; do
		expect "$method, $bits bits" right guest A aprsa $method $bits 2
	done
done

machine "queue 01.0001 reply-polls forever ; counters reset"
guest A '{ aprsa modexpo 2048 >/tmp/answer 2>&1; echo $? >/tmp/status; } &'
wait_until "the message is with the adapter" in_flight
guest A '[ ! -e /tmp/status ]' || fail "the program did not wait"
unassign A adapter 1
wait_until "the guest has lost the queue" guest_queues_are A ""
wait_until "the program has ended" ended
expect "its answer" "request 1: error ENODEV" guest A cat /tmp/answer
expect "its status" 1 guest A cat /tmp/status
expect "another one" "request 1: error ENODEV" guest A 'aprsa modexpo 1024 || :'

machine "queue 01.0001 reply-polls 0"
assign A adapter 1
wait_until "the guest has it again" guest_queues_are A 01.0001
expect "right again" right guest A aprsa crt 2048
assign A adapter 2
unassign A adapter 1
wait_until "the guest has another" guest_queues_are A 02.0001
expect "right there too" right guest A aprsa crt 2048
