# SPDX-License-Identifier: GPL-2.0
# A demonstration: a guest gets adapters by assignment and loses and regains them.
#
# Everything shown is read from the running machine.
# machine: adapter 3 cex8p ; apm = 0-2 ; aqm = 0-3

seen=0

# step TEXT...: the heading of a step.
step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# show COMMAND...: the command, then its effect.
show() {
	printf '  $ %s\n' "$*"
	"$@" >/dev/null
}

# host: the adapters as the AP bus sees them.
host() {
	for _card in $ap/devices/card*; do
		_id=${_card##*card}
		_queues=
		for _queue in $ap/devices/"$_id".*; do
			_queues="$_queues ${_queue##*.}=$(basename "$(readlink "$_queue/driver")")"
		done
		printf '  card%s  %s %s\n' "$_id" "$(cat "$_card/type")" "$_queues"
	done
}

# picture: the mdev's matrix and what of it the guest has.
picture() {
	_assigned=$(matrix A) _has=$(guest_matrix A)
	printf '\n     adapter \\ domain   0000 0001 0002 0003\n'
	for _apid in 00 01 02 03; do
		printf '                  %s ' $_apid
		for _apqi in 0000 0001 0002 0003; do
			case " $_has " in *" $_apid.$_apqi "*)
				printf '   ##'
				continue
				;;
			esac
			case " $_assigned " in
			*" $_apid.$_apqi "*) printf '   --' ;;
			*) printf '    .' ;;
			esac
		done
		echo
	done
}

# kvm: what KVM has written down since the last time.
kvm() {
	vm A history >/tmp/history
	echo
	tail -n +$((seen + 1)) /tmp/history | sed 's/^/     KVM committed:  /'
	_total=$(grep -c . /tmp/history)
	[ "$_total" != $seen ] || echo "     KVM committed:  nothing"
	seen=$_total
}

step "1. The host: three adapters with four domains each, used by the host itself"
wait_until "the AP bus has scanned" first_scan_done
wait_until "all queues are bound" bindings_complete
host

step "2. Adapters 1 to 3 are reserved for guests, and vfio_ap ($DRIVER) is loaded"
echo "  \$ echo -1-2-3 >/sys/bus/ap/apmask; modprobe vfio_ap"
give_to_vfio_ap "1 2 3" ""
load_driver
host

step "3. A mediated device gets adapters 1, 2, 3 and domains 1, 2; the host has no adapter 3"
mdev A
show assign A adapter 1 2 3 domain 1 2 control_domain 1
picture
echo
echo "     ## the guest gets it    -- assigned, but not there    . not assigned"

step "4. A virtual machine opens it"
show vm_open A
kvm

step "5. Adapter 3 comes to the host configuration: hot plug at the end of the bus scan"
show machine "apm + 3"
show scan
picture
kvm

step "6. Queue 02.0001 is unbound: all of adapter 2 leaves the guest"
show unbind 02.0001
picture
kvm

step "7. Domain 1 is unassigned under the running guest: adapter 2 has no hole any more"
show unassign A domain 1
picture
kvm

step "8. Adapter 1 leaves the host configuration, and domain 3 is assigned"
show machine "apm - 1"
show scan
show assign A domain 3
picture
kvm

step "9. The virtual machine closes the device: masks cleared, queues reset"
count_from_zero
show vm A close
kvm
echo
for _queue in 02.0002 02.0003 03.0002 03.0003; do
	printf '     %s: %s, resets: %s\n' $_queue "$(cat $ap/devices/$_queue/status)" "$(zapqs $_queue)"
done
echo
