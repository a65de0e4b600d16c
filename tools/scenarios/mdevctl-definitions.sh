# SPDX-License-Identifier: GPL-2.0
# mdevctl defines, starts, lists, stops and undefines mediated devices.
# image: clients
# timeout: 120

a=$(uuid A)
give_to_vfio_ap "1" ""
load_driver
expect "types" "matrix
  vfio_ap-passthrough
    Available instances: 65536
    Device API: vfio-ap
    Name: VFIO AP Passthrough Device" debian mdevctl types
debian mdevctl define -u "$a" -p matrix -t $type
for attribute in assign_adapter assign_domain assign_control_domain; do
	debian mdevctl modify -u "$a" --addattr=$attribute --value=1
done
expect "definitions" "$a matrix $type manual" debian mdevctl list -d
debian mdevctl start -u "$a"
expect "list" "$a matrix $type manual (defined)" debian mdevctl list
expect "matrix" "01.0001" matrix A
expect "control domains" "0001" control_domains A
vm_open A
expect "masks" "apm=1 aqm=1 adm=1" masks A
vm_close A
debian mdevctl stop -u "$a"
expect "nothing active" "" debian mdevctl list
expect "status of 01.0001" unassigned cat $ap/devices/01.0001/status
debian mdevctl undefine -u "$a"
expect "nothing defined" "" debian mdevctl list -d
