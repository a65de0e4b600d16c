# SPDX-License-Identifier: GPL-2.0
# AQIC of a guest without a GISA goes to user space.

mdev_with A 1 1
echo 0 >/sys/module/kvm/parameters/use_gisa
vm_open A group --run 1
machine "counters reset"
expect "the guest has it" 01.0001 vm A guest queues
_answer=$(vm A guest enable 01.0001) && fail "it was handled: $_answer"
case $_answer in
"interception 04 ipa=b2af"*) echo "ok: to user space: $_answer" ;;
*) fail "not to user space: $_answer" ;;
esac
expect "AQICs" 0 machine counters 01.0001 aqic
# For who comes next, where scenarios share a machine.
echo 1 >/sys/module/kvm/parameters/use_gisa
