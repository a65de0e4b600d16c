# SPDX-License-Identifier: GPL-2.0

KDIR ?= /lib/modules/$(shell uname -r)/build

.DEFAULT_GOAL := modules
modules modules_install rust-analyzer:
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@
clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

.PHONY: modules modules_install rust-analyzer clean
