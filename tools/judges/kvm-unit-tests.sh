# SPDX-License-Identifier: GPL-2.0
# The tests of kvm-unit-tests for s390x, each in its own guest under KVM.
#
# `make judges` builds the tests and puts them on a disk, with a list made from the suite's own list.
# The output of each test stands between @TEST and @ENDED.
# image: clients suite
# cpus: 2
# memory: 4096
# timeout: 3600

suite=$debian/suite
mkdir $suite
mount -t ext4 -o ro /dev/suite $suite

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 domain 1
_identify A

# under_kvm SECONDS FILE CPUS ARGUMENTS [OPTION...]: run a test, with a time limit.
under_kvm() {
	_limit=$1 _file=$2 _cpus=$3 _arguments=$4
	shift 4
	# shellcheck disable=SC2086 # no -append without arguments
	chroot $debian /usr/bin/timeout -k 5 "$_limit" qemu-system-s390x -nodefaults -display none \
		-machine s390-ccw-virtio,accel=kvm -kernel "/suite/$_file" \
		${_arguments:+-append "$_arguments"} -smp "$_cpus" "$@" 2>&1
}

# on_console: print the options that connect QEMU's console with the test.
on_console="-chardev stdio,id=console -device sclpconsole,chardev=console"

# panics SECONDS FILE CPUS [OPTION...]: pass if QEMU reports that the guest has panicked.
panics() {
	_seconds=$1 _file=$2 _cpus=$3
	shift 3
	[ -e /run/qmp ] || mkfifo /run/qmp
	exec 7<>/run/qmp
	echo '{"execute": "qmp_capabilities"}' >&7
	under_kvm "$_seconds" "$_file" "$_cpus" "" "$@" -qmp stdio <&7 >/run/events &
	_test=$!
	_until=$(($(seconds) + _seconds))
	while ! _gone $_test && ! grep -q GUEST_PANICKED /run/events && [ "$(seconds)" -lt $_until ]; do
		sleep 1
	done
	if grep -q GUEST_PANICKED /run/events; then
		echo "PASS: QEMU says that the guest has panicked"
	else
		echo "FAIL: QEMU says that the guest has panicked"
		cat /run/events
	fi
	killall qemu-system-s390x 2>/dev/null || :
	wait $_test || :
	exec 7>&-
}

while IFS='|' read -r name file cpus limit kind arguments options; do
	case " ${ONLY:-$name} " in *" $name "*) ;; *) continue ;; esac
	# Other tests do not depend on the driver.
	[ "$DRIVER" = rust ] || [ "$kind" = ap ] || continue
	echo "@TEST $name"
	status=0
	# shellcheck disable=SC2086 # several options
	case $kind in
	skip) echo "SKIP: $arguments" ;;
	panic) panics "$limit" "$file" "$cpus" $options ;;
	ap)
		under_kvm "$limit" "$file" "$cpus" "$arguments" $options $on_console -cpu host,ap=on \
			-device "vfio-ap,sysfsdev=$_mdev" </dev/null || status=$?
		;;
	*) under_kvm "$limit" "$file" "$cpus" "$arguments" $options $on_console </dev/null || status=$? ;;
	esac
	echo
	echo "@ENDED $status"
done <$suite/tests
