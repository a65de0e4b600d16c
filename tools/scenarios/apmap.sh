# SPDX-License-Identifier: GPL-2.0
# apmap shows the owner of each queue, and why a guest does not have a queue.

# row ADAPTER: the signs for its domains.
row() { apmap --all | sed -n "s/^$1 CEX7C *//p"; }
# why: what is said about adapters that are filtered.
why() { apmap --width 200 | sed -n 's/^ *filtered *//p'; }

give_to_vfio_ap "1 2 3" ""
load_driver
mdev A
assign A adapter 1 2 domain 1 2
expect "an adapter of the host" "#  #  #  #" row 00
expect "one that nobody has" ".  .  .  ." row 03
expect "one of A" ".  a  a  ." row 01
vm_open A
expect "one of its guest" ".  A  A  ." row 01
expect "nothing is filtered" "" why
unbind 02.0001
expect "a filtered adapter" ".  a! a- ." row 02
expect "the reason" "adapter 02: 02.0001 is not bound to any driver" why
machine "apm - 1"
scan
expect "another reason" "adapter 01: not in the host configuration
adapter 02: 02.0001 is not bound to any driver" why
bind 02.0001
expect "an adapter that is back" ".  A  A  ." row 02
apmap >/tmp/picture
apmap record >/tmp/host
expect "the same from a recording" "$(cat /tmp/picture)" apmap --sysfs /tmp/host
vm_close A
remove_mdev A
unload_driver
expect "without the driver" "?  ?  ?  ?" row 03
