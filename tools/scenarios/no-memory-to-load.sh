# SPDX-License-Identifier: GPL-2.0
# If any one allocation fails during the load of the driver, the load fails or the driver works.
#
# Queues without memory are not bound. The kernel's module loader leaks its table of symbols when a
# load fails (module_frob_arch_sections()). Nothing else may leak. The scenario takes up to twenty
# minutes; `--set FIRST=557` begins with that allocation.
# drivers: rust
# kernel: faults
# machine: adapter 0-3 cex7a
# timeout: 400

give_to_vfio_ap "1 2 3" ""
load_driver
machine "queue *.* reset-polls 0 ; queue *.* irq-polls 0"
dmesg -n 1
apfail "load:${FIRST:-1}" || fail "see above"
leaks=/sys/kernel/debug/kmemleak
echo scan >$leaks
sleep 5
echo scan >$leaks
all=$(grep -c "^unreferenced" $leaks || :)
known=$(grep -c module_frob_arch_sections $leaks || :)
echo "leaks: $all, of the module loader: $known"
[ "$all" = "$known" ] || fail "there are other leaks than those of the module loader"
echo clear >$leaks
dmesg -n 8
