# SPDX-License-Identifier: GPL-2.0
# With many processes that do everything at the same time, all masks are correct and nothing is left
# behind.
#
# The processes create mdevs, assign, open, close and die. Guests use interruptions. Hardware fails
# and changes. The bus scans. Queues are bound, unbound and reserved. The driver is unloaded and
# loaded. See apstress. `make stress` takes longer.
# drivers: rust
# cpus: 2
# machine: adapter 0-3 cex7a
# timeout: 150
# needs: driver_override iommufd

rounds=${ROUNDS:-2} seed=${SEED:-1}

# stress OPTION...: run apstress, and check the state after it.
stress() {
	if_c set -- "$@" --unruly
	apstress --rounds $rounds --seed $seed "$@" || fail "see above"
	# The mdevs have no users any more.
	clean
	no_machines() { [ "$(machines)" = 0 ]; }
	wait_until "no virtual machine is left" no_machines
	expect "pinned pages that are left" 0 pins
	machine "apm = 0-3 ; aqm = 0-3 ; adm = 0-3"
	scan
}

# probe: bind the queues that have no driver.
probe() {
	for queue in $ap/devices/*.*; do
		[ -e "$queue/driver" ] || echo "${queue##*/}" >$ap/drivers_probe
	done
	wait_until "all queues are bound" bindings_complete
}

all_usable() {
	mdev A
	assign A adapter 1 2 3 domain 0 1 2 3
	all=$(matrix A)
	expect "queues" 12 sh -c "echo $all | wc -w"
	expect "the guest would have all" "$all" guest_matrix A
	vm_open A group --run 1
	expect "the guest has all" "$all" vm A guest queues
	for queue in $all; do
		expect "status of $queue" "in use" cat "$ap/devices/$queue/status"
		enabled=$(vm A guest enable "$queue")
		case $enabled in
		"rc=00 cc=0"*) ;;
		*) fail "interruptions of $queue: $enabled" ;;
		esac
	done
	vm_close A
	remove_mdev A
}

give_to_vfio_ap "1 2 3" ""
load_driver
stress
ktry write $ap/apmask +0,-1,-2,-3
ktry write $ap/aqmask +0,+1,+2,+3
probe
all_usable

ktry write $ap/apmask +1,+2,+3
stress --overrides
for queue in $ap/devices/*.*; do
	case $queue in
	*/00.*) echo >"$queue/driver_override" ;;
	*) echo vfio_ap >"$queue/driver_override" ;;
	esac
	[ ! -e "$queue/driver" ] || echo "${queue##*/}" >"$queue/driver/unbind"
done
probe
all_usable
