# SPDX-License-Identifier: GPL-2.0
# The selftests of the kernel for KVM on s390x.
#
# `make judges` builds the tests and puts them on a disk, with a list of them. The output of each test
# stands between @TEST and @ENDED. Some tests print their checks. For each test that ends by itself,
# this script prints one more: its exit status.
# image: clients suite
# drivers: rust
# cpus: 2
# memory: 4096
# timeout: 3600

suite=$debian/suite
mkdir $suite
mount -t ext4 -o ro /dev/suite $suite
mkdir -p /dev/hugepages
load_driver

# The exit status by which a selftest says that it has been skipped.
skipped=4

while IFS='|' read -r name limit kind text; do
	case " ${ONLY:-$name} " in *" $name "*) ;; *) continue ;; esac
	echo "@TEST $name"
	if [ "$kind" = skip ]; then
		echo "SKIP: $text"
		echo "@ENDED 0"
		continue
	fi
	status=0
	# shellcheck disable=SC2086 # several arguments
	chroot $debian /usr/bin/timeout -k 5 "$limit" "/suite/$name" $text >/run/output 2>&1 </dev/null || status=$?
	cat /run/output
	echo
	case $status in
	0) echo "PASS: $name" ;;
	$skipped)
		# A test that prints its checks prints the reason with them.
		grep -q '^ok .*# SKIP' /run/output ||
			echo "SKIP: $(sed -n 's/.*SKIP[ :]*\(.*[^ ]\) *$/\1/p' /run/output | tail -n 1)"
		status=0
		;;
	124 | 137) ;;
	*)
		grep -q '^not ok' /run/output ||
			echo "FAIL: $(grep -A 1 'Test Assertion Failure' /run/output | tail -n 1 || :) ($status)"
		;;
	esac
	echo "@ENDED $status"
done <$suite/tests
