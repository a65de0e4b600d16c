# SPDX-License-Identifier: GPL-2.0
# chzdev gives adapters and domains to guests and takes them back unless an mdev has them.
#
# Its persistent configuration makes udev load the driver.
# image: clients
# timeout: 120

# chzdev OPTION... SETTING...
chzdev() { debian chzdev --quiet --type ap "$@"; }

# shown: which are the host's, as lszdev sees it.
shown() { debian lszdev --type ap --info | grep 'mask ' | xargs; }

load_driver
chzdev --active apmask=-1-2 aqmask=-3
expect "masks" "apmask 0,3-255 - aqmask 0-2,4-255 -" shown
mdev A
assign A adapter 1 domain 1
expect "matrix" "01.0001" matrix A
expect_refusal "apmask conflicts with mdev $(uuid A) APQN 1.1" chzdev --active apmask=+1
chzdev --active apmask=+2
expect "masks then" "apmask 0,2-255 - aqmask 0-2,4-255 -" shown

chzdev --persistent apmask=-1 aqmask=-3
rules=$debian/etc/udev/rules.d/41-ap.rules
expect "what udev will load" 'RUN{builtin}+="kmod load vfio_ap"' grep RUN $rules
expect "what udev will set" \
	'ATTR{../../bus/ap/apmask}="0xbfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"' \
	grep apmask $rules
