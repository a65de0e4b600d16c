# SPDX-License-Identifier: GPL-2.0
# The functions for scenarios with `image: clients`, which run unmodified programs from Debian.
#
#   any program   debian  expect_refusal  udevd  settle
#   QEMU          qemu  qmp  qmp_event  qemu_masks  qemu_commits  qemu_quit  qemu_kill
#   Linux in it   linux  guest  guest_queues  guest_queues_are  guest_debian  guest_log
#   libvirt       libvirt  virsh
#
# The functions for Linux guests need `image: clients linux`.
#
# The programs run in their own root file system and share /dev, /proc, /sys, /run and /tmp with the
# scenario.

debian=/debian
qemus=/run/qemu

if [ ! -e $debian/proc/1 ]; then
	mkdir -p $debian $qemus /run/lock /dev/shm /dev/pts
	mount -t ext4 -o noatime $clients $debian
	mount -t tmpfs tmpfs /dev/shm
	mount -t devpts devpts /dev/pts
	ln -s /proc/self/fd /dev/fd
	for _fd in 0:stdin 1:stdout 2:stderr; do ln -s fd/${_fd%:*} /dev/${_fd#*:}; done
	for _dir in dev proc sys run tmp; do mount -o rbind /$_dir $debian/$_dir; done
	export HOME=/root LC_ALL=C
fi

# debian PROGRAM ARGUMENT...: run a program of Debian. env finds it: busybox's chroot would prefer its
# own applets.
debian() { chroot $debian /usr/bin/env -- "$@"; }

# An interactive shell has these programs by their own names.
if [ -z "$SCENARIO" ]; then
	mdevctl() { debian mdevctl "$@"; }
	driverctl() { debian driverctl "$@"; }
	lszcrypt() { debian lszcrypt "$@"; }
	chzcrypt() { debian chzcrypt "$@"; }
	lszdev() { debian lszdev "$@"; }
	chzdev() { debian chzdev "$@"; }
fi

# expect_refusal TEXT COMMAND...: require that COMMAND fails with TEXT in its output.
expect_refusal() {
	_expected=$1
	shift
	if _actual=$("$@" 2>&1); then
		fail "'$*' succeeded, but was to be refused with '$_expected': $_actual"
		return 1
	fi
	case $_actual in
	*"$_expected"*) echo "ok: refused: $*: $_expected" ;;
	*)
		fail "'$*' was to be refused with '$_expected', but says: $_actual"
		return 1
		;;
	esac
}

# udevd: start udev's daemon.
udevd() { debian /usr/lib/systemd/systemd-udevd --daemon; }

# settle: wait until udev has handled all events of the kernel. Its timeout is longer than that of any
# scenario.
settle() { SYSTEMD_IGNORE_CHROOT=1 debian udevadm settle --timeout=3600; }

# ------------------------------------------------------------------------ QEMU ---

# A guest that has only AP devices and stopped CPUs.
qemu_guest="qemu-system-s390x -M s390-ccw-virtio -accel kvm -cpu host,ap=on -m 64M -S
	-display none -nodefaults"

# qemu NAME group|iommufd|none [OPTION...]: start QEMU with mdev NAME by the VFIO group, with mdev NAME
# by an iommufd, or without an mdev. Return when the guest is ready to run. On failure, print QEMU's log.
qemu() {
	_q=$qemus/$1
	_identify "$1"
	_device=vfio-ap,id=ap,sysfsdev=$_mdev
	case $2 in
	group) _device="-device $_device" ;;
	iommufd) _device="-object iommufd,id=iommufd -device $_device,iommufd=iommufd" ;;
	none) _device= ;;
	*) fail "a device cannot be had by '$2': group, iommufd or none" ;;
	esac
	shift 2
	rm -f "$_q".*
	mkfifo "$_q".in "$_q".out
	exec 8<>"$_q".in 9<>"$_q".out
	# This process holds the pipes open, which keeps their contents. It reports the end of QEMU to a
	# reader that waits for an answer.
	(
		# shellcheck disable=SC2086 # several options
		chroot $debian $qemu_guest $_device -qmp pipe:"$_q" "$@" 8>&- 9>&- &
		echo $! >"$_q".pid
		_rc=0
		wait $! || _rc=$?
		echo ended >&9
		exit $_rc
	) >"$_q".log 2>&1 &
	echo $! >"$_q".job
	exec 8>&- 9>&-
	qmp "${_q##*/}" qmp_capabilities >/dev/null || {
		cat "$_q".log
		rm -f "$_q".*
		return 1
	}
}

# qmp NAME COMMAND [ARGUMENTS]: send a command to QEMU's monitor, with ARGUMENTS in JSON, and print its
# result in JSON. Fail if it is an error or QEMU has ended.
qmp() {
	_q=$qemus/$1
	read -r _pid <"$_q".job
	! _gone "$_pid" || fail "QEMU $1 has ended"
	echo "{\"execute\": \"$2\"${3:+, \"arguments\": $3}}" 1<>"$_q".in
	while IFS= read -r _line; do
		case $_line in
		'{"return": '*)
			_line=${_line#'{"return": '}
			echo "${_line%\}*}"
			return 0
			;;
		'{"error": '* | ended)
			echo "$_line"
			return 1
			;;
		*'"event": '*) echo "$_line" >>"$_q".events ;;
		esac
	done <>"$_q".out
}

# qmp_event NAME EVENT: wait until QEMU reports EVENT.
qmp_event() { wait_until "QEMU $1 has told of $2" _qemu_has_told "$1" "$2"; }

_qemu_has_told() {
	# The answer to a command follows all earlier events.
	qmp "$1" query-status >/dev/null
	grep -q "\"event\": \"$2\"" $qemus/"$1".events 2>/dev/null
}

# qemu_masks NAME: print the masks that KVM last put into the guest's CRYCB.
qemu_masks() { _qemu_crycb "$1" masks; }

# qemu_commits NAME: print the number of changes of the guest's CRYCB.
qemu_commits() { _qemu_crycb "$1" commits; }

_qemu_crycb() {
	read -r _pid <$qemus/"$1".pid
	crycb "$_pid" "$2"
}

# qemu_quit NAME: end QEMU by its monitor.
qemu_quit() {
	qmp "$1" quit >/dev/null
	_qemu_ends "$1" || fail "QEMU $1 ended with an error"
}

# qemu_kill NAME: kill QEMU.
qemu_kill() {
	read -r _pid <$qemus/"$1".pid
	kill -9 "$_pid"
	_qemu_ends "$1" || true
}

# Waits for the last thread of QEMU, which closes its files.
_qemu_ends() {
	read -r _job <$qemus/"$1".job
	_rc=0
	wait "$_job" || _rc=$?
	cat $qemus/"$1".log
	# The harness judges warnings of the guest kernel, too.
	[ ! -e $qemus/"$1"-guest.console ] || guest_log "$1"
	rm -f $qemus/"$1".* $qemus/"$1"-guest.*
	return $_rc
}

# ---------------------------------------------------------------- Linux guests ---

# The kernel of this machine, and an initramfs with the init of guests.
linux_kernel=/dev/linux
linux_initrd=/dev/initrd

# linux NAME group|iommufd|none [OPTION...]: as qemu, with Linux in the guest. The guest has as many CPUs
# as the machine, because each waiting CPU costs time: its clock wakes it 250 times a second. Return when
# the first process of the guest runs.
linux() {
	_name=$1
	rm -f $qemus/"$_name"-guest.*
	mkfifo $qemus/"$_name"-guest.in $qemus/"$_name"-guest.out
	qemu "$@" -m 128M -smp "$(nproc)" -kernel $linux_kernel -initrd $linux_initrd \
		-append "console=ttysclp0 panic=-1 rdinit=/init" \
		-chardev file,id=console,path=$qemus/"$_name"-guest.console \
		-device sclpconsole,chardev=console \
		-chardev pipe,id=guest,path=$qemus/"$_name"-guest \
		-device virtio-serial,max_ports=2 -device virtserialport,chardev=guest || return
	qmp "$_name" cont >/dev/null
	_guest_answer "$_name"
}

# guest NAME COMMAND...: run one line of shell in the guest, print its output, and return its status.
guest() {
	_name=$1
	shift
	echo "$*" 1<>$qemus/"$_name"-guest.in
	_guest_answer "$_name"
}

# Reads an answer up to its last line, which is the status.
_guest_answer() {
	while IFS= read -r -t ${guest_patience:-200} _line; do
		case $_line in
		@[0-9]*) return "${_line#@}" ;;
		*) echo "$_line" ;;
		esac
	done <>$qemus/"$1"-guest.out
	guest_log "$1"
	fail "guest $1 does not answer"
}

# guest_queues NAME: print the queues on the guest's AP bus in one line.
guest_queues() { guest "$1" 'cd /sys/bus/ap/devices; set -- *.*; [ ! -e "$1" ] || echo $*'; }

# guest_queues_are NAME QUEUES: succeed if the guest has exactly these queues.
guest_queues_are() { [ "$(guest_queues "$1")" = "$2" ]; }

# With the option $share_debian of linux, guest_debian NAME gives Debian's programs to a guest, and
# `guest NAME debian PROGRAM` runs one. The files do not change, and the guest may cache them.
share_debian="-fsdev local,id=debian,path=/,security_model=none,readonly=on
	-device virtio-9p-ccw,fsdev=debian,mount_tag=debian"
guest_debian() {
	guest "$1" mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,ro debian /debian
	guest "$1" 'for i in dev sys; do mount -o bind /$i /debian/$i; done'
}

# guest_log NAME: print the kernel log of the guest.
guest_log() { tr -d '\r' <$qemus/"$1"-guest.console; }

# --------------------------------------------------------------------- libvirt ---

# libvirt: start libvirt's daemons.
libvirt() {
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir -p /run/libvirt
	udevd
	ip link set lo up
	# This machine has no other users, and needs no protection from them.
	cat >$debian/etc/libvirt/qemu.conf <<-EOF
		user = "root"
		group = "root"
		security_driver = "none"
		cgroup_controllers = []
		namespaces = []
		seccomp_sandbox = 0
		remember_owner = 0
	EOF
	# A peer that does not answer at once is slow, not gone.
	echo "keepalive_interval = -1" >$debian/etc/libvirt/libvirtd.conf
	debian virtlogd --daemon
	debian libvirtd --daemon
}

# virsh COMMAND...: run a command of virsh.
virsh() { debian virsh --quiet --keepalive-interval 0 --connect qemu:///system "$@"; }

# ------------------------------------------------------------------ at the end ---

# finish_clients: end all QEMUs.
finish_clients() {
	for _file in $qemus/*.pid; do
		[ -e "$_file" ] || continue
		_name=${_file##*/}
		qemu_quit "${_name%.pid}"
	done
}
