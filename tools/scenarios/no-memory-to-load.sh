# SPDX-License-Identifier: GPL-2.0
# Whichever allocation fails while the driver is loaded, either it is not, or it can be used.
#
# Queues for which there was no memory are not bound. The kernel's module loader leaks what it
# has for the symbols of a module (module_frob_arch_sections()) when it gives up; nothing else may
# leak. This takes up to twenty minutes; `--set FIRST=557` begins with that allocation.
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
