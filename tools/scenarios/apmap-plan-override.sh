# SPDX-License-Identifier: GPL-2.0
# A plan of apmap that uses driver_override takes no queue that was not asked for.
# needs: driver_override

# follow ARGUMENT...: make a plan and carry it out.
follow() {
	apmap plan "$@" >/tmp/plan
	cat /tmp/plan
	# shellcheck source=/dev/null
	. /tmp/plan
}
# owned: print the number of queues of vfio_ap.
owned() { set -- $ap/drivers/vfio_ap/*.*; echo $#; }

load_driver
follow "$(uuid A)" 01-02.0001 --by override
expect "guest matrix" "01.0001 02.0001" guest_matrix A
expect "queues of vfio_ap" 2 owned
follow A 03.0001
expect "guest matrix with one more" "01.0001 02.0001 03.0001" guest_matrix A
expect "queues of vfio_ap then" 3 owned
# The kernel does not allow both methods together, and apmap knows that.
expect_error EINVAL ktry write $ap/apmask -3
! apmap plan A 03.0002 --by masks || fail "apmap mixes both ways"
