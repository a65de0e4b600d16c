# SPDX-License-Identifier: GPL-2.0
# The AP bus finds adapters, domains or both that have left or entered the host configuration.
# count: instructions
. /scenarios/measure.sh

# commits_of_all: print the number of commits of all guests.
commits_of_all() {
	_sum=0
	for _guest in $guests; do _sum=$((_sum + $(commits $_guest))); done
	echo $_sum
}

# measure_scan OPERATION MACHINE-COMMANDS: measure a scan after these commands, and the commits for
# each guest.
measure_scan() {
	# A write during another scan would only wait for that one.
	echo 1 >$ap/scans
	[ -z "$2" ] || machine "$2"
	_before=$(commits_of_all)
	_cost=$(apcount write $ap/scans 1) || fail "scan: $_cost"
	# Binding all new queues may take another scan.
	wait_until "all queues are bound" bindings_complete
	_after=$(commits_of_all)
	report "$1-$number-guests" "$_cost" commits=$((_after - _before)) guests=$number
}

# once K: remove and add the last K adapters and domains.
once() {
	_k=$1 _range=$((SIZE - $1))-$last
	measure_scan scan-no-change ""
	measure_scan "scan-minus-$_k-adapters" "apm - $_range"
	measure_scan "scan-plus-$_k-adapters" "apm + $_range"
	measure_scan "scan-minus-$_k-domains" "aqm - $_range"
	measure_scan "scan-plus-$_k-domains" "aqm + $_range"
	measure_scan "scan-minus-$_k-both" "apm - $_range ; aqm - $_range"
	measure_scan "scan-plus-$_k-both" "apm + $_range ; aqm + $_range"
}

# with N: create N guests with all adapters and an equal number of domains each.
with() {
	number=$1 guests='' _share=$((SIZE / $1)) _n=0
	[ $_share -gt 0 ] || return 0
	while [ $_n -lt "$1" ]; do
		_name=$(printf %02d $_n)
		mdev "$_name"
		set_attr "$_name" ap_config "$(mask "$SIZE"),$(mask $_share $((_n * _share))),$(mask 0)"
		vm_open "$_name" group --vcpus 1
		guests="$guests $_name"
		_n=$((_n + 1))
	done
	once 1
	# With 1,024 queues, each scan takes long, so fewer scans are measured.
	[ "$SIZE" -gt 16 ] || once $((SIZE / 2))
	clean
}

prepare
machine "queue *.* reset-polls 0"
for _number in 1 4 16; do with "$_number"; done
