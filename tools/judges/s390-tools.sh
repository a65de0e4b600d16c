# SPDX-License-Identifier: GPL-2.0
# With ap-check of s390-tools, mdevctl and libvirt change a device while a guest uses it.
#
# `make judges` builds ap-check and puts it on a disk. mdevctl calls it before each action on a device,
# and lets it carry out live changes. s390-tools has no tests for ap-check, so the checks are our own.
# image: clients suite
# memory: 1024
# timeout: 600

# test_begins NAME, test_ends: the checks between these are the test NAME.
test_begins() { echo "@TEST $1"; }
test_ends() { echo "@ENDED 0"; }

# check WHAT EXPECTED COMMAND...: whether COMMAND succeeds and prints EXPECTED.
check() {
	_what=$1 _expected=$2
	shift 2
	if _actual=$("$@" 2>&1) && [ "$_actual" = "$_expected" ]; then
		echo "PASS: $_what"
	else
		echo "FAIL: $_what"
		echo "'$*' was to print '$_expected', and printed '$_actual'"
	fi
}

# check_refusal WHAT TEXT COMMAND...: whether COMMAND fails with TEXT in its output.
check_refusal() {
	_what=$1 _expected=$2
	shift 2
	if _actual=$("$@" 2>&1); then
		echo "FAIL: $_what"
		echo "'$*' succeeded and printed '$_actual'"
		return
	fi
	case $_actual in
	*"$_expected"*) echo "PASS: $_what" ;;
	*)
		echo "FAIL: $_what"
		echo "'$*' was to be refused with '$_expected', and printed '$_actual'"
		;;
	esac
}

# attributes ADAPTERS DOMAINS CONTROL_DOMAINS: print the attributes of a definition, a line for each.
attributes() {
	for _id in $1; do echo "assign_adapter $_id"; done
	for _id in $2; do echo "assign_domain $_id"; done
	for _id in $3; do echo "assign_control_domain $_id"; done
}

# json ADAPTERS DOMAINS CONTROL_DOMAINS: write a definition for mdevctl.
json() {
	_attributes=$(attributes "$@" | sed 's/\(.*\) \(.*\)/{"\1": "\2"}/' | tr '\n' ,)
	echo "{\"mdev_type\": \"$type\", \"start\": \"manual\", \"attrs\": [${_attributes%,}]}" >/tmp/definition
}

# xml ADAPTERS DOMAINS CONTROL_DOMAINS: write a definition for libvirt.
xml() {
	cat >/tmp/device.xml <<-XML
		<device>
		  <name>$node</name>
		  <parent>ap_matrix</parent>
		  <capability type='mdev'>
		    <type id='$type'/>
		    <uuid>$(uuid A)</uuid>
		    $(attributes "$@" | sed "s,\(.*\) \(.*\),<attr name='\1' value='\2'/>,")
		  </capability>
		</device>
	XML
}

# live NAME ADAPTERS DOMAINS CONTROL_DOMAINS: change an active device by mdevctl.
live() {
	json "$2" "$3" "$4"
	debian mdevctl modify -u "$(uuid "$1")" --live --jsonfile /tmp/definition
}

# update OPTION ADAPTERS DOMAINS CONTROL_DOMAINS: change device A by libvirt.
update() {
	xml "$2" "$3" "$4"
	virsh nodedev-update "$node" /tmp/device.xml "$1"
}

# defined: print the attributes of the definition of A.
defined() { debian mdevctl list -d -u "$(uuid A)" --dumpjson | grep -c '"assign_' || :; }

suite=$debian/suite
mkdir $suite
mount -t ext4 -o ro /dev/suite $suite
mkdir -p $debian/usr/lib/mdevctl/scripts.d/callouts /run/lock
cp $suite/ap-check $debian/usr/lib/mdevctl/scripts.d/callouts
umount $suite

node=mdev_$(uuid A | tr - _)_matrix
give_to_vfio_ap "1 2" ""
load_driver

test_begins mdevctl
json 1 1 ""
check "define" "" debian mdevctl define -u "$(uuid A)" -p matrix --jsonfile /tmp/definition
check "start" "" debian mdevctl start -u "$(uuid A)"
check "the matrix" "01.0001" matrix A
qemu A group
check "a live change" "" live A "1 2" "1 2" "1 3"
check "the matrix after it" "01.0001 01.0002 02.0001 02.0002" matrix A
check "the masks of the guest after it" "apm=1-2 aqm=1-2 adm=1,3" qemu_masks A
check "the definition after it" 2 defined
check "a live change that takes an adapter away" "" live A 2 "1 2" 3
check "the masks of the guest without it" "apm=2 aqm=1-2 adm=3" qemu_masks A
mdev B
assign B adapter 1 domain 3
check_refusal "a live change to a queue of another device" "already in use by $(uuid B)" live A "1 2" "1 3" ""
check_refusal "a live change to a queue of the host" "not allowed for vfio_ap-passthrough" live A "2 3" "1 2" ""
check_refusal "control domains without domains" "At least one usage domain" live A 2 "" 3
check "the masks after what was refused" "apm=2 aqm=1-2 adm=3" qemu_masks A
check "everything is taken away" "" live A "" "" ""
check "the matrix then" "" matrix A
check "the masks of the guest then" "apm=none aqm=none adm=none" qemu_masks A
remove_mdev B
qemu_quit A
check "stop" "" debian mdevctl stop -u "$(uuid A)"
json "1 2" 1 ""
check "a change of the definition" "" debian mdevctl modify -u "$(uuid A)" -p matrix --jsonfile /tmp/definition
check "start again" "" debian mdevctl start -u "$(uuid A)"
check "the matrix as it is defined now" "01.0001 02.0001" matrix A
check "the end" "" debian mdevctl stop -u "$(uuid A)"
check "undefine" "" debian mdevctl undefine -u "$(uuid A)"
test_ends

test_begins libvirt
libvirt
xml 1 1 ""
check "define" "" virsh nodedev-define /tmp/device.xml
check "start" "" virsh nodedev-start "$node"
qemu A group
check "a live change" "" update --live "1 2" "1 2" "1 3"
check "the masks of the guest after it" "apm=1-2 aqm=1-2 adm=1,3" qemu_masks A
check "a live change that takes an adapter away" "" update --live 2 "1 2" 3
check "the masks of the guest without it" "apm=2 aqm=1-2 adm=3" qemu_masks A
check_refusal "a live change to a queue of the host" "not allowed for vfio_ap-passthrough" \
	update --live "2 3" "1 2" ""
check "the masks after what was refused" "apm=2 aqm=1-2 adm=3" qemu_masks A
check "the definition is as it was" 2 defined
check "a change of the definition" "" update --config 2 "1 3" ""
check "the masks of the guest are as they were" "apm=2 aqm=1-2 adm=3" qemu_masks A
check "the definition then" 3 defined
qemu_quit A
check "destroy" "" virsh nodedev-destroy "$node"
check "start again" "" virsh nodedev-start "$node"
check "the matrix as it is defined now" "02.0001 02.0003" matrix A
check "the end" "" virsh nodedev-destroy "$node"
check "undefine" "" virsh nodedev-undefine "$node"
test_ends

test_begins driver_override
# The kernel allows a driver_override only with the default masks.
ktry write $ap/apmask +1,+2
override 03.0003
mdev A
check "a live change to a queue that driver_override gives" "" live A 3 3 ""
test_ends
