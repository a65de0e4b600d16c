# SPDX-License-Identifier: GPL-2.0
# Tracepoints show changes of guests with their causes, resets, and AQIC of guests.
# drivers: rust
# needs: tracing

tracing=/sys/kernel/tracing

# traced PATTERN: require a line in the trace.
traced() { grep -E "$1" $tracing/trace || fail "not in the trace: $1: $(cat $tracing/trace)"; }

mount -t tracefs tracefs $tracing
give_to_vfio_ap "0 1" ""
load_driver
echo 1 >$tracing/events/vfio_ap/enable
mdev A
assign A adapter 0 1 domain 0
vm_open A group --run 1
zeros="0x0,0x0,0x0"
traced "vfio_ap_guest: mdev=$(uuid A) cause=open adapter=-1 domain=-1 apm=\{0xc000000000000000,$zeros\} aqm=\{0x8000000000000000,$zeros\} adm=\{0x0,$zeros\}"
unbind 01.0000
traced "vfio_ap_guest: mdev=$(uuid A) cause=unbind adapter=1 domain=0 apm=\{0x8000000000000000,"
traced "vfio_ap_zapq: queue=01.0000 code=0x00"
traced "vfio_ap_reset_end: queue=01.0000 code=0x00"
machine "queue 01.0000 zapq rc=42"
bind 01.0000
traced "vfio_ap_zapq: queue=01.0000 code=0x42"
traced "vfio_ap_reset_end: queue=01.0000 code=0x42"
machine "queue 01.0000 zapq clear"
machine "queue *.* irq-polls 0"
expect "enable" "rc=00 cc=0 status=81000000" vm A guest enable 00.0000
traced "vfio_ap_aqic: queue=00.0000 code=0x00"
vm A guest disable 00.0000
echo 0 >$tracing/events/vfio_ap/enable
umount $tracing
