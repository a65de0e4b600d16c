# SPDX-License-Identifier: GPL-2.0
# What apmap plans for a mediated device is what a guest then has.

# follow ARGUMENT...: make a plan and do as it says.
follow() {
	apmap plan "$@" >/tmp/plan
	cat /tmp/plan
	sh -e /tmp/plan
}
# There is no modprobe in the machine, as there is nothing that it could look at.
mkdir -p /run/bin
printf '#!/bin/sh\nexec insmod /lib/modules/$1.ko\n' >/run/bin/modprobe
chmod +x /run/bin/modprobe
PATH=/run/bin:$PATH

wait_until "the AP bus has scanned" first_scan_done
wait_until "all queues are bound" bindings_complete
follow "$(uuid A)" 01-02.0001 --control 01
expect "guest matrix" "01.0001 02.0001" guest_matrix A
expect "control domains" "0001" control_domains A
vm_open A
follow A 03.0002
expect "more for a guest" "apm=1-3 aqm=1-2 adm=1" masks A
if_rust expect_commits 1 A follow A 02-03.0003 --only
if_c follow A 02-03.0003 --only
expect "something else" "apm=2-3 aqm=3 adm=1" masks A
unbind 02.0003
expect "without a queue" "apm=3 aqm=3 adm=1" masks A
follow A 02.0003
expect "bound again" "apm=2-3 aqm=3 adm=1" masks A

# What the kernel would refuse is not tried.
status=0
follow "$(uuid B)" 02.0003 || status=$?
[ $status = 1 ] || fail "a plan that cannot be followed has status $status"
[ ! -e "$mdevs/$(uuid B)" ] || fail "a plan that cannot be followed was begun"
grep "02.0003 is assigned to mdev A" /tmp/plan
