# SPDX-License-Identifier: GPL-2.0
# debugfs shows why a guest does not have an assigned queue, and the recent commits.
# drivers: rust

# report: print the report about mdev A without times.
report() { sed 's/commit [0-9]* ms ago/commit/; s/ time=[0-9]*$//' "/sys/kernel/debug/vfio_ap/$(uuid A)"; }

give_to_vfio_ap "0 1 2 9" ""
load_driver
unbind 01.0001
machine "queue 02.0000 zapq rc=42"
unbind 02.0000
bind 02.0000
mdev A
assign A adapter 0 1 2 9 domain 0 1 9 control_domain 9
expect "without a guest" "used by: nobody
not in the host configuration: adapters 09
not in the host configuration: domains 0009
not in the host configuration: control domains 0009
filtered: adapter 01, for domains 0001 not bound
filtered: adapter 02, for domains 0000 not reset, as that failed
queues with interruptions: 0
commits: 0
queues taken from guests: 0" report
vm_open A
bind 01.0001
machine "queue 02.0000 zapq clear ; apm - 3"
scan
unassign A adapter 0 9 domain 9 control_domain 9
expect "with a guest" "used by: guest
queues with interruptions: 0
commits: 4
queues taken from guests: 2
commit: apm=00 aqm=0000-0001 adm=none cause=open
commit: apm=00-01 aqm=0000-0001 adm=none cause=bind adapter=01 queue=01.0001
commit: apm=00-02 aqm=0000-0001 adm=none cause=reset adapter=02 queue=02.0000
commit: apm=01-02 aqm=0000-0001 adm=none cause=assignment adapter=00" report
vm_close A
remove_mdev A
expect "nothing is left" "" ls /sys/kernel/debug/vfio_ap
