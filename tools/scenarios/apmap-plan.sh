# SPDX-License-Identifier: GPL-2.0
# The guest gets the queues that apmap has planned for its mediated device.

# follow ARGUMENT...: make a plan and carry it out.
follow() {
	apmap plan "$@" >/tmp/plan || fail "something stands in the way of: $*"
	cat /tmp/plan
	# shellcheck source=/dev/null
	. /tmp/plan
}
# A stub: the machine has nothing that the real program could read.
modprobe() { ktry insmod "/lib/modules/$1.ko"; }

wait_until "the AP bus has scanned" first_scan_done
wait_until "all queues are bound" bindings_complete
! apmap plan "$(uuid A)" 01-02.0001 >/tmp/plan || fail "the host loses what nobody has asked for"
grep "the host's own drivers lose 00.0001 03.0001 as well" /tmp/plan
# shellcheck source=/dev/null
. /tmp/plan
expect "nothing was taken" cex4queue driver_of 01.0001
follow "$(uuid A)" 01-02.0001 --control 01 --take-others
expect "guest matrix" "01.0001 02.0001" guest_matrix A
expect "control domains" "0001" control_domains A
vm_open A
follow A 03.0002 --take-others
expect "more for a guest" "apm=1-3 aqm=1-2 adm=1" masks A
follow A 02-03.0003 --only --take-others
expect "something else" "apm=2-3 aqm=3 adm=1" masks A
unbind 02.0003
expect "without a queue" "apm=3 aqm=3 adm=1" masks A
follow A 02.0003
expect "bound again" "apm=2-3 aqm=3 adm=1" masks A
follow A 09.0003
expect "what is not there yet is not in the way" "apm=2-3 aqm=3 adm=1" masks A

# A plan that the kernel would refuse is not carried out.
! apmap plan "$(uuid B)" 02.0003 >/tmp/plan || fail "nothing stands in the way of two owners"
grep "02.0003 is assigned to mdev A" /tmp/plan
# shellcheck source=/dev/null
. /tmp/plan
[ ! -e "$mdevs/$(uuid B)" ] || fail "a plan that cannot be followed was begun"
