# SPDX-License-Identifier: GPL-2.0
# A guest gets back what it has lost when a configuration changes and changes back between two scans.
#
# The bus does not report such a change. A reset shows the change to the driver, and the driver queries
# the configuration again by itself. The C driver does not notice the change.
# drivers: rust

patience=20

give_to_vfio_ap "1 2" ""
load_driver
mdev A
assign A adapter 1 2 domain 1 control_domain 2
vm_open A
expect "masks" "apm=1-2 aqm=1 adm=2" masks A
machine "aqm - 1 ; adm - 2"
unbind 02.0001
lost() { [ "$(masks A)" = "apm=1-2 aqm=none adm=none" ]; }
wait_until "a reset has told of it" lost
# Nothing is left that could be reset once more.
unbind 01.0001
machine "aqm + 1 ; adm + 2"
returned() { [ "$(masks A)" = "apm=none aqm=1 adm=2" ]; }
wait_until "the control domain is back" returned
bind 01.0001
bind 02.0001
complete() { [ "$(masks A)" = "apm=1-2 aqm=1 adm=2" ]; }
wait_until "all is back" complete
# The bus sees no change, and a scan changes nothing.
expect_commits 0 A scan
