# SPDX-License-Identifier: GPL-2.0
#
# On an IBM Z: `make` and `make modules_install` build for the running kernel.
# On any machine: `make demo` and `make test` set up all that they need.

KDIR ?= /lib/modules/$(shell uname -r)/build
# The source of the crates for a kernel without CONFIG_RUST.
KSRC ?= $(lastword $(shell ls -v /usr/src/linux-source-7.*.tar.* 2>/dev/null))
testbed := tools/testbed

.DEFAULT_GOAL := modules

##@ The module

modules: carried ## Build vfio_ap.ko for the kernel in KDIR (ARCH=, CROSS_COMPILE=, LLVM=1)
modules_install: modules ## Install it into /lib/modules, where it comes before the in-tree driver
modules modules_install:
	$(MAKE) -C "$(KDIR)" M="$(CURDIR)" $@

clean: ## Remove what was built here
	@if [ -e "$(KDIR)/Makefile" ]; then $(MAKE) -C "$(KDIR)" M="$(CURDIR)" clean; fi

version = $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
archive = vfio_ap_rs-$(version)

dist: ## Pack the last commit as vfio_ap_rs-VERSION.tar.gz. The result depends on the commit alone
	git archive --prefix=$(archive)/ HEAD | gzip -9n > $(archive).tar.gz

carried: check-kdir
	@grep -q '^CONFIG_RUST=y' "$(KDIR)/include/config/auto.conf" || \
		carried/prepare.sh "$(KDIR)" "$(KSRC)" carried/build

check-kdir:
	@ARCH="$(ARCH)" RUSTC="$(RUSTC)" BINDGEN="$(BINDGEN)" PAHOLE="$(PAHOLE)" $(testbed)/check-kdir.sh "$(KDIR)" "$(KSRC)"

##@ apmap

PREFIX ?= /usr/local

apmap: ## Build apmap for this machine: that takes cargo and rustc 1.89
	cd tools && cargo build --release -p apmap

install-apmap: apmap ## Install apmap and its manual pages: [PREFIX=/usr/local] [DESTDIR=]
	install -D -t "$(DESTDIR)$(PREFIX)/bin" "$${CARGO_TARGET_DIR:-tools/target}/release/apmap"
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/man/man1" tools/apmap/man/*.1

apmap-s390x: ## Build a static apmap for an IBM Z on any machine, in the toolchain root
	@$(testbed)/vm apmap

##@ The emulated machine

demo: ## Boot a machine with AP adapters and show the driver at work
	@$(testbed)/vm demo

test: ## Run all tests: the core, the tools, the driver and the C driver in machines
	@$(testbed)/test.sh

test-host: ## Run those tests that need no machine
	@$(testbed)/test.sh host

test-vm: ## Run the scenarios; FILTER=name to run some of them
	@$(testbed)/vm test $(FILTER)

test-debian: ## Run the scenarios on the kernel that Debian 13 has, as far as that can; FILTER=name
	@VM_FLAVOUR=debian $(testbed)/vm test $(FILTER)

test-debug: ## Run stress, and the scenarios that can share a machine, on a debug kernel: an hour; [FROM=name]
	@export VM_FLAVOUR=debug VM_PATIENCE=$(or $(VM_PATIENCE),30); \
		$(if $(FROM),,$(testbed)/vm run stress &&) \
		$(testbed)/vm run in-one-machine $(if $(FROM),--set FROM=$(FROM))

bench: ## Measure what this driver and the C driver cost, for Documentation/benchmarks.rst
	@$(testbed)/vm bench --into Documentation

bench-host: ## Time the driver's core on this machine
	@cd tools && testbed/enter cargo bench -p vfio-ap-core

run: ## Run one scenario and show its console: make run SCENARIO=demo [DRIVER=c]
	@$(testbed)/vm run $(SCENARIO) --driver $(or $(DRIVER),rust)

walk: ## A long random walk, against the specification: make walk [STEPS=n] [SEED=n] [DRIVER=c]
	@$(testbed)/vm walk --steps $(or $(STEPS),5000) $(if $(SEED),--seed $(SEED)) \
		--driver $(or $(DRIVER),rust)

stress: ## Everything at the same time: make stress [ROUNDS=n] [SEED=n] [DRIVER=c]
	@$(testbed)/vm run stress --driver $(or $(DRIVER),rust) $(if $(ROUNDS),--set ROUNDS=$(ROUNDS)) \
		$(if $(SEED),--set SEED=$(SEED))

judges: ## Run suites of tests of others: make judges KVM_UNIT_TESTS=DIR [UPDATE=1]
	@export KVM_UNIT_TESTS="$(KVM_UNIT_TESTS)"; \
		$(testbed)/judges.sh $(if $(UPDATE),--update)

shell: ## A shell inside a machine with the driver loaded; DRIVER=c for the C driver
	@$(testbed)/vm shell --driver $(or $(DRIVER),rust)

lint: ## Check formatting, clippy, rustdoc and scripts
	@$(testbed)/test.sh lint

licences: ## List the third-party crates of the tools with their licences
	@$(testbed)/enter $(testbed)/licences.py list

format: ## Format all Rust code
	@$(testbed)/format.sh

docs: ## Build Documentation/ as HTML
	@$(testbed)/docs.sh

toolchain: ## Set up the toolchain only
	@$(testbed)/toolchain.sh

kernel: ## Build the kernel of the machines only
	@$(testbed)/kernel.sh

##@ Help

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9_-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: modules modules_install clean dist carried check-kdir apmap install-apmap apmap-s390x demo test test-host test-vm test-debian test-debug walk stress \
	bench bench-host run judges shell lint licences format docs toolchain kernel help
