# SPDX-License-Identifier: GPL-2.0
# Change a guest while a queue of another guest is being reset for two seconds.
# count: instructions
. /scenarios/measure.sh

half=$((SIZE / 2))
# Both drivers poll every 20 ms.
polls=100

resets_begun() { [ "$(zapqs 00.0000)" -gt 0 ]; }

# now: print the time in units of 10 ms.
now() {
	read -r _uptime _ </proc/uptime
	echo "${_uptime%.*}${_uptime#*.}"
}

# beside OPERATION FILE TEXT: measure a write during the reset of 00.0000.
beside() {
	machine "counters reset ; queue 00.0000 reset-polls $polls"
	_begin=$(now)
	unassign A adapter 0 &
	_unassign=$!
	wait_until "the reset has begun" resets_begun
	measure "$1" write "$2" "$3"
	wait $_unassign
	report reset-of-2-seconds ns=$((($(now) - _begin) * 10000000))
	machine "queue 00.0000 reset-polls 0"
	assign A adapter 0
}

once() {
	beside wait-unassign-domain "$of_b/unassign_domain" 1
	beside wait-assign-domain "$of_b/assign_domain" 1
	beside wait-unbind $ap/drivers/vfio_ap/unbind "$queue_of_b"
	beside wait-bind $ap/drivers/vfio_ap/bind "$queue_of_b"
}

prepare
machine "queue *.* reset-polls 0"
mdev A
mdev B
set_attr A ap_config "$(mask $half),$(mask "$SIZE"),$(mask 0)"
set_attr B ap_config "$(mask $half $half),$(mask "$SIZE"),$(mask 0)"
of_b=$_mdev
queue_of_b=$(printf '%02x.0001' $half)
vm_open A group --vcpus 1
vm_open B group --vcpus 1
for _round in 1 2 3; do once; done
clean
