# SPDX-License-Identifier: GPL-2.0
# libvirt gives a mediated device to a domain, takes it away and gives it again while
# the domain is there, and does not let it be destroyed.
#
# image: clients
# memory: 1024
# timeout: 300

# domain_masks: what KVM last put into the CRYCB of the domain.
domain_masks() { crycb "$(cat /run/libvirt/qemu/guest.pid)" masks; }

mdev_with A 1 "1 2"
libvirt
cat >/tmp/hostdev.xml <<-XML
	<hostdev mode="subsystem" type="mdev" model="vfio-ap">
	  <source><address uuid="$(uuid A)"/></source>
	</hostdev>
XML
cat >/tmp/guest.xml <<-XML
	<domain type="kvm">
	  <name>guest</name>
	  <memory unit="MiB">64</memory>
	  <vcpu>1</vcpu>
	  <os><type arch="s390x" machine="s390-ccw-virtio">hvm</type></os>
	  <cpu mode="host-passthrough"/>
	  <devices>
	    <emulator>/usr/bin/qemu-system-s390x</emulator>
	    <memballoon model="none"/>
	    $(cat /tmp/hostdev.xml)
	  </devices>
	</domain>
XML
virsh create /tmp/guest.xml --paused
expect "masks" "apm=1 aqm=1-2 adm=none" domain_masks
expect "status of 01.0001" "in use" cat $ap/devices/01.0001/status
virsh detach-device guest /tmp/hostdev.xml --live
expect "masks without" clear domain_masks
expect "status without" assigned cat $ap/devices/01.0001/status
virsh attach-device guest /tmp/hostdev.xml --live
expect "masks with it" "apm=1 aqm=1-2 adm=none" domain_masks
expect_refusal "device in use" virsh nodedev-destroy "mdev_$(uuid A | tr - _)_matrix"
expect "masks as before" "apm=1 aqm=1-2 adm=none" domain_masks
expect "state of the domain" paused virsh domstate guest
virsh destroy guest
expect "status when it is gone" assigned cat $ap/devices/01.0001/status
