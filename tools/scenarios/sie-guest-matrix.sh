# SPDX-License-Identifier: GPL-2.0
# A running guest sees exactly the queues in guest_matrix, at any time.
#
# The guest queries each queue over and over without being disturbed.
# machine: adapter 1-3 cex8c ; apm = 0-3 ; aqm = 0-3
# needs: iommufd

# agree WHAT: require that the guest sees the queues in guest_matrix. (guest_matrix also lists
# adapters without domains, as "01.", and domains without adapters, as ".0001".)
agree() {
	_has=
	for _queue in $(guest_matrix A); do
		case $_queue in ??.????) _has="$_has $_queue" ;; esac
	done
	_has=${_has# }
	expect "$1" "${_has:-none}" vm A guest queues
}

give_to_vfio_ap "1 2 3" ""
load_driver
mdev A
vm_open A group --run 1
agree "nothing assigned"
assign A adapter 1
agree "no domain"
assign A domain 1 2
expect "the first adapter" "01.0001 01.0002" vm A guest queues
agree "an adapter"
assign A adapter 2 3 domain 0 control_domain 3
agree "all adapters"
expect "QCI in the guest" "apm=1-3 aqm=0-2 adm=3" vm A guest masks
unassign A adapter 2
agree "without adapter 2"
unbind 03.0001
agree "without adapter 3, of which a queue is missing"
bind 03.0001
agree "with adapter 3"
unassign A domain 1
agree "without domain 1"
vm A close
expect "closed" none vm A guest queues
expect "QCI when closed" "apm=none aqm=none adm=none" vm A guest masks
vm A open "$(uuid A)" iommufd
agree "opened again"
