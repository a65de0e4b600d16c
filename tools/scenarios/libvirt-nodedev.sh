# SPDX-License-Identifier: GPL-2.0
# libvirt finds adapters, queues, and the matrix device, and creates, defines, starts,
# changes, and destroys mediated devices.
#
# To change an active one, mdevctl needs the ap-check callout of s390-tools, which is
# not in Debian's package.
# image: clients
# memory: 1024
# timeout: 300

node=mdev_$(uuid A | tr - _)_matrix

# device DOMAIN...: how libvirt is told what A is.
device() {
	echo "<device><name>$node</name><parent>ap_matrix</parent><capability type='mdev'>
		<type id='$type'/><uuid>$(uuid A)</uuid><attr name='assign_adapter' value='1'/>"
	for _domain; do echo "<attr name='assign_domain' value='$_domain'/>"; done
	echo "</capability></device>"
}

# xml NAME: what libvirt knows of a device.
xml() { virsh nodedev-dumpxml "$1"; }

give_to_vfio_ap "1" ""
load_driver
libvirt
expect "adapters" "ap_card00
ap_card01
ap_card02
ap_card03" virsh nodedev-list --cap ap_card
expect "matrix device" "ap_matrix" virsh nodedev-list --cap ap_matrix
expect "types" "ap_matrix" virsh nodedev-list --cap mdev_types
expect "the matrix device" "<device>
  <name>ap_matrix</name>
  <path>/sys/devices/vfio_ap/matrix</path>
  <parent>computer</parent>
  <driver>
    <name>vfio_ap</name>
  </driver>
  <capability type='ap_matrix'>
    <capability type='mdev_types'>
      <type id='vfio_ap-passthrough'>
        <name>VFIO AP Passthrough Device</name>
        <deviceAPI>vfio-ap</deviceAPI>
        <availableInstances>65536</availableInstances>
      </type>
    </capability>
  </capability>
</device>" xml ap_matrix
expect "a queue" "<device>
  <name>ap_01_0001</name>
  <path>/sys/devices/ap/card01/01.0001</path>
  <parent>ap_card01</parent>
  <driver>
    <name>vfio_ap</name>
  </driver>
  <capability type='ap_queue'>
    <ap-adapter>0x01</ap-adapter>
    <ap-domain>0x0001</ap-domain>
  </capability>
</device>" xml ap_01_0001

device 1 >/tmp/device.xml
virsh nodedev-create /tmp/device.xml
expect "matrix of what is created" "01.0001" matrix A
virsh nodedev-destroy "$node"
expect "nothing is left" "" ls $mdevs
virsh nodedev-define /tmp/device.xml
virsh nodedev-start "$node"
expect "matrix of what is started" "01.0001" matrix A
device 1 2 >/tmp/device.xml
expect_refusal "Live modification is not supported" \
	virsh nodedev-update "$node" /tmp/device.xml --live
virsh nodedev-update "$node" /tmp/device.xml --config
virsh nodedev-destroy "$node"
virsh nodedev-start "$node"
expect "matrix when started again" "01.0001 01.0002" matrix A
virsh nodedev-destroy "$node"
virsh nodedev-undefine "$node"
expect "nothing is defined" "" debian mdevctl list -d
