# SPDX-License-Identifier: GPL-2.0
# The uevent about a guest names the cause of the change.
# drivers: rust
# timeout: 120

# variables COMMAND...: print the variables of the uevent that the command causes.
variables() {
	: >/tmp/uevents
	"$@"
	wait_until "a uevent with a cause" grep -q CAUSE= /tmp/uevents
	# The rest of the uevent follows.
	usleep 200000
	grep -E "^(EVENT|CAUSE|ADAPTER|QUEUE)=" /tmp/uevents | xargs
}

give_to_vfio_ap "0 1" ""
load_driver
mdev A
assign A adapter 0 domain 0
busybox uevent env >>/tmp/uevents &
monitor=$!
vm_open A
variables assign A adapter 1 >/dev/null
expect "a queue that is unbound" "EVENT=guest_matrix CAUSE=unbind ADAPTER=01 QUEUE=01.0000" variables unbind 01.0000
expect "a queue that is bound" "EVENT=guest_matrix CAUSE=bind ADAPTER=01 QUEUE=01.0000" variables bind 01.0000
patience=30
deconfigure() { machine adapter 1 state deconfigured; }
expect "an adapter that is deconfigured" "EVENT=guest_matrix CAUSE=deconfigured ADAPTER=01" variables deconfigure
kill $monitor
