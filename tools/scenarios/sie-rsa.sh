# SPDX-License-Identifier: GPL-2.0
# An accelerator computes for a guest and refuses invalid requests.
# machine: adapter 1 cex7a

mdev_with A 1 "1 2"
vm_open A group --run 1
expect "right" right vm A guest rsa 01.0001
expect "again, on another queue" right vm A guest rsa 01.0002
# The buffer has something else now.
expect "nonsense is taken" "rc=00 cc=0 status=40000000" vm A guest send 01.0001
expect "and answered" "rc=00 cc=0 status=80000000 psmid=77" vm A guest receive 01.0001
expect "right after that" right vm A guest rsa 01.0001
