# SPDX-License-Identifier: GPL-2.0
# apmap why says for what reason a guest lacks a queue, or a queue does not work.
#
# The C driver keeps no record of resets and commits; apmap says so.

# causes SUBJECT: print the causes that apmap names.
causes() { apmap why "$1" --json | sed -n '/"history"/q; s/^ *"cause": "\(.*\)",/\1/p' | uniq; }
# user SUBJECT: print the user of the mdev.
user() { apmap why "$1" --json | sed -n 's/^ *"user": "\(.*\)",/\1/p'; }
# well SUBJECT: print the exit status.
well() { if apmap why "$1" >/dev/null; then echo yes; else echo "no: $?"; fi; }
# says TEXT SUBJECT: require TEXT in the output of apmap.
says() {
	apmap why "$2" --width 400 >/tmp/why || :
	grep -Fq "$1" /tmp/why || {
		cat /tmp/why
		fail "not said: $1"
	}
	echo "ok: said: $1"
}

give_to_vfio_ap "0 1 2 3" ""
load_driver
mdev A
assign A adapter 0 1 2 domain 1
expect "without a guest" yes well A
expect "no guest" nobody user A
vm_open A
expect "with a guest" yes well A
expect "a queue that works" yes well 01.0001
says "(process $(cat $run/A.pid), apvmm)" A
says "Which mdev is it assigned to?" 03.0001

machine "adapter 0 state deconfigured ; adapter 1 state checkstopped"
scan
expect "out of order" "no: 1" well A
expect "what is out of order" "deconfigured
check-stop" causes A
expect "one queue" check-stop causes 01.0001
machine "adapter 0 state online ; adapter 1 state online"
scan
expect "back again" yes well A

machine "apm - 2"
scan
unbind 00.0001
unbind 01.0001
expect "all reasons" "not-bound
adapter-not-in-host" causes A
expect "the user of a guest that has nothing" guest user A
says "a guest uses it (process $(cat $run/A.pid), apvmm)" A
apmap --width 200 >/tmp/picture
grep "no queues the guest has none" /tmp/picture
says "00.0001 is not bound to any driver" A
machine "queue 01.0001 zapq rc=06"
bind 01.0001
if_rust expect "could not be reset" reset-failed causes 01.0001
if_rust says "reset of queue 01.0001 failed with response code 06" A
if_c says "the C driver does not tell" A
if_rust apmap why A || :
machine "queue 01.0001 zapq clear"

apmap record >/tmp/host
! apmap why A >/tmp/why || fail "nothing is missing"
! apmap --sysfs /tmp/host why A >/tmp/recorded || fail "nothing is missing in the recording"
# Times change in the meantime.
expect "the same from a recording" "$(sed 's/^ *20.*:.. / /' /tmp/why)" sed 's/^ *20.*:.. / /' /tmp/recorded
if_rust grep '"module/vfio_ap/version"' /tmp/host
grep '"../proc/sys/kernel/osrelease"' /tmp/host
if_rust grep "kernel/debug/vfio_ap/$(uuid A)" /tmp/host
