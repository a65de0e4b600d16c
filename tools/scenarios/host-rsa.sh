# SPDX-License-Identifier: GPL-2.0
# The host and a guest compute on the same accelerator, each with its own queue.
#
# The expected results come from OpenSSL.
# machine: adapter 0 cex8a

give_to_vfio_ap "" "3"
for bits in 1024 2048 4096; do
	expect "exponentiation, $bits bits" right aprsa modexpo $bits
	expect "remainder theorem, $bits bits" right aprsa crt $bits
done
load_driver
mdev A
assign A adapter 0 domain 3
vm_open A group --run 1
expect "the guest's queue" 00.0003 vm A guest queues
machine counters reset
expect "the guest" right vm A guest rsa 00.0003
expect "messages" 1 machine counters 00.0003 nqap
expect "the host" right aprsa crt 2048 4
expect "messages, with those of the host" 5 machine counters "00.*" nqap
expect "none of them by the guest's queue" 1 machine counters 00.0003 nqap
