# SPDX-License-Identifier: GPL-2.0
# driverctl gives single queues to guests, temporarily or persistently, and takes them back.
# image: clients
# timeout: 120
# needs: driver_override

# driver_of QUEUE: print its driver.
driver_of() { basename "$(readlink $ap/devices/"$1"/driver)"; }

load_driver
mdev A
debian driverctl -b ap --nosave set-override 00.0003 vfio_ap
expect "driver of 00.0003" vfio_ap driver_of 00.0003
expect "overrides" "00.0003 vfio_ap" debian driverctl -b ap list-overrides
assign A adapter 0 domain 3
expect_error EADDRNOTAVAIL assign A domain 2
vm_open A
expect "masks" "apm=0 aqm=3 adm=none" masks A

debian driverctl -b ap set-override 00.0002 vfio_ap
expect "driver of 00.0002" vfio_ap driver_of 00.0002
expect "what is saved" vfio_ap cat $debian/etc/driverctl.d/ap-00.0002
assign A domain 2
expect "masks with 00.0002" "apm=0 aqm=2-3 adm=none" masks A

debian driverctl -b ap --nosave unset-override 00.0003
expect "driver of 00.0003 then" cex4queue driver_of 00.0003
expect "masks without adapter 0" "apm=none aqm=2-3 adm=none" masks A
