# SPDX-License-Identifier: GPL-2.0
# The driver knows the host configuration even if it changes and changes back around the load of the
# driver.
#
# The bus reports changes that a scan finds. In this scenario no scan sees that an adapter, a domain
# and a control domain were away. The driver sees it because it queries the configuration when it is
# loaded. The C driver never learns of it.
# machine: apm = 0-2

give_to_vfio_ap "1 2" ""
wait_until "the AP bus has scanned" first_scan_done
machine "apm - 1 ; aqm - 2 ; adm - 1"
ktry insmod /lib/modules/vfio_ap.ko
machine "apm + 1 ; aqm + 2 ; adm + 1"
scan
wait_until "all queues are bound" bindings_complete
mdev A
assign A adapter 1 2 domain 1 2 control_domain 0 1
expect "driver" vfio_ap driver_of 01.0001
if_c expect "guest matrix" "02.0001" guest_matrix A
if_rust expect "guest matrix" "01.0001 01.0002 02.0001 02.0002" guest_matrix A
vm_open A group --run 1 --look 2,2
if_c expect "masks" "apm=2 aqm=1 adm=0" masks A
if_rust expect "masks" "apm=1-2 aqm=1-2 adm=0-1" masks A
if_c expect "the guest has" "02.0001" vm A guest queues
if_rust expect "the guest has" "01.0001 01.0002 02.0001 02.0002" vm A guest queues
