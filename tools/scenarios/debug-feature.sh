# SPDX-License-Identifier: GPL-2.0
# The area vfio_ap of the s390 debug feature keeps a record of errors.
#
# Each driver has its own words for the entries. This driver also records each commit at level 5.
# The C driver stores a pointer to the stack in place of an address, and shows the contents of that
# memory at the time of reading.

area=/sys/kernel/debug/s390dbf/vfio_ap
# written TEXT: require an entry with TEXT.
written() {
	grep -Fq "$1" $area/sprintf || fail "not written: $1"
	echo "ok: written: $1"
}
not_written() { ! grep -F "$1" $area/sprintf || fail "written: $1"; }

give_to_vfio_ap "1 2" ""
load_driver
expect "files" "flush level pages sprintf" sh -c "ls $area | xargs"
expect "level" 4 cat $area/level
mdev A
assign A adapter 1 domain 1
vm_open A group --run 1
vm A guest enable 02.0001
if_c written "Queue 02.0001 not bound to the vfio_ap driver"
if_rust written "aqic: apqn=02.0001 enable=1 nib=0x1c0000 refused with 0x01"
vm A guest enable 01.0001 0
if_c written "invalid NIB address: nib="
if_c grep "invalid NIB" $area/sprintf
if_c not_written "nib=0x0000000000000000"
if_rust written "aqic: apqn=01.0001 enable=1 nib=0x0 refused with 0x06"
if_rust dmesg_has_not "aqic"
echo 5 >$area/level
assign A domain 2
zeros=000000000000000000000000000000000000000000000000
digits=$(uuid A | tr -d -)
if_rust written "guest: mdev=$digits cause=assignment"
if_rust written "guest: apm=4000000000000000$zeros"
if_rust written "guest: aqm=6000000000000000$zeros"
if_rust written "guest: adm=0000000000000000$zeros"
unbind 01.0002
if_rust written "guest: mdev=$digits cause=unbind queue=01.0002"
bind 01.0002
machine "queue 01.0001 zapq rc=42"
if_rust expect_error EIO vm A reset
if_rust written "reset: apqn=01.0001 failed with 0x42"
machine "queue 01.0001 zapq clear"
