# SPDX-License-Identifier: GPL-2.0-or-later
# The commands that the README names. Each does everything itself, from a bare Debian 12 on.
# For daily work use the CMake presets: debug and clang compile file by file; release, asan and tsan
# join files, which is faster from nothing; and there are
# fuzz and coverage.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo test fuzz coverage bench clean kernel install-kernel kernel-package kernel-vm \
  test-kernel bench-kernel test-kernel-debug

# $(call configure,PRESET,OPTIONS): quiet unless it fails.
configure = log=$$(cmake --preset $(1) $(2) 2>&1) || { echo "$$log" >&2; exit 1; }
# The program alone: without what only tests and benchmarks need, unless they are on already.
configure_program = test -f build/release/build.ninja || \
  { $(call configure,release,-DDMR_TESTS=OFF -DDMR_BENCH=OFF); }
compile = cmake --build --preset $(1)
JOBS := $(shell nproc)

build:
	@scripts/install-packages build
	@$(configure_program)
	@$(call compile,release) --target dm-remap

demo:
	@scripts/install-packages demo
	@$(configure_program)
	@$(call compile,release) --target dm-remap bare-disk
	@scripts/demo build/release/dm-remap

# The release build is g++'s, both sanitizer builds are clang's. One ctest run over all three, and
# over the kernel module's scenarios, which are begun first because they take longest.
test: kernel-vm
	@scripts/install-packages test
	@$(call configure,release,-DDMR_TESTS=ON -DDMR_BENCH=ON)
	@$(call configure,asan)
	@$(call configure,tsan)
	@$(call compile,release)
	@$(call compile,asan)
	@$(call compile,tsan)
	@printf 'set(%s "%s")\n' top '$(CURDIR)' headers "$(kdir)" >build/kernel-vm/CTestTestfile.cmake
	@echo 'include("$${top}/tests/kernel/ctest.cmake")' >>build/kernel-vm/CTestTestfile.cmake
	@echo 'subdirs(kernel-vm release asan tsan)' >build/CTestTestfile.cmake
	@ctest --test-dir build --parallel $(JOBS) --timeout 300 --no-tests=error --no-label-summary \
	  --output-on-failure

# An hour of simulated lives on all cores, with new seeds each time: half of it with every kind of
# trouble in turn, half with the power cut most often. The tables, with the seeds and the commit,
# are what docs/reliability.md shows of one such hour.
SOAK_SECONDS ?= 3600
SOAK_SEED ?= $(shell date +%s)000000
.PHONY: soak
soak:
	@scripts/install-packages build
	@$(configure_program)
	@$(call compile,release) --target dm-remap
	@echo "Commit $$(git -c safe.directory='*' describe --always --dirty), $(JOBS) processes"
	@for profile in "" "--profile power-cuts"; do \
	  build/release/dm-remap simulate --seconds $$(( ($(SOAK_SECONDS) + 1) / 2 )) \
	    --seed $(SOAK_SEED) $$profile; \
	done

# FUZZ_SECONDS for each target of tests/fuzz, one after the other.
fuzz:
	@scripts/install-packages test
	@$(call configure,fuzz)
	@$(call compile,fuzz)
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) scripts/fuzz build/fuzz

# Lines and branches of core/ that its own tests and the simulator's reach.
coverage:
	@scripts/install-packages test
	@$(call configure,coverage)
	@$(call compile,coverage)
	@scripts/coverage build/coverage

bench:
	@scripts/install-packages bench
	@$(call configure,release,-DDMR_TESTS=ON -DDMR_BENCH=ON)
	@$(call compile,release) --target dm-remap bench
	@bench/run build/release

# The module, built beside the sources: KDIR=/lib/modules/VERSION/build chooses the kernel.
KDIR ?= $(lastword $(sort $(wildcard /lib/modules/*/build)))
# Where there are no headers yet, those that the recipe has installed.
kdir = $(or $(KDIR),$$(ls -d /lib/modules/*/build | tail -1))
MODULE := build/kernel/src/dm_remap.ko
kernel:
	@scripts/install-packages kernel
	@scripts/kernel-sources build/kernel/src
	@MAKE="$(MAKE)" scripts/build-module \
	  "$(kdir)" $(CURDIR)/build/kernel/src $(JOBS)
	@tests/kernel/check-objects build/kernel/src
	@strip --strip-debug -o build/kernel/dm_remap.ko $(MODULE)
	@echo "$(MODULE): $$(stat -c %s build/kernel/dm_remap.ko) bytes when stripped"

# For the running kernel, or the one of KDIR=...; with DKMS where that is there. DESTDIR=... puts it
# below that folder.
install-kernel:
	@scripts/install-packages kernel
	@scripts/install-kernel $(if $(filter file,$(origin KDIR)),,$(KDIR))

# The Debian package dm-remap-dkms, and proof that DKMS can build the module from it.
kernel-package:
	@scripts/install-packages kernel-package
	@scripts/kernel-package build/kernel-package
	@tests/kernel/check-package build/kernel-package/dm-remap-dkms_$$(scripts/version)_all.deb \
	  "$(kdir)"

# What the module's scenarios run in, and the scenarios: SCENARIOS="NAME..." for some of them.
kernel-vm: kernel
	@scripts/install-packages test-kernel
	@scripts/fetch-kernel build/kernel-vm $(kdir)
# The machine also runs two tools that belong to the tests.
guest = scripts/install-packages test && \
  { $(call configure,release,-DDMR_TESTS=ON -DDMR_BENCH=ON); } && \
  $(call compile,release) --target dm-remap kernel_guest_tools
test-kernel: kernel-vm
	@$(guest)
	@tests/kernel/run $(SCENARIOS)
# By the guest's instructions, which a busy machine does not disturb; CLOCK=1 by the clock.
bench-kernel: kernel-vm
	@$(guest)
	@DMR_VM_COUNT=$(if $(CLOCK),,1) DMR_ROUND_MS=$(if $(CLOCK),400,100) DMR_VM_TIMEOUT=3600 \
	  DMR_SCENARIO_SECONDS=900 tests/kernel/run boot-9

# The same scenarios on a kernel that watches its memory, its locks and its sleep, and those of
# boot 5, for which it lets allocations fail.
DEBUG_KERNEL := build/debug-kernel
test-kernel-debug:
	@scripts/install-packages test-kernel-debug
	@$(guest)
	@scripts/build-debug-kernel $(DEBUG_KERNEL)
	@scripts/kernel-sources $(DEBUG_KERNEL)/src
	@ARCH=x86_64 MAKE="$(MAKE)" scripts/build-module \
	  $(DEBUG_KERNEL)/linux $(CURDIR)/$(DEBUG_KERNEL)/src $(JOBS)
	@DMR_BOOTS="1 2 3 4 5" DMR_VM_TIMEOUT=3600 DMR_SCENARIO_SECONDS=1200 DMR_VM_MEMORY=2048 \
	  tests/kernel/run --module $(DEBUG_KERNEL)/src/dm_remap.ko --image $(DEBUG_KERNEL)/image \
	  $(SCENARIOS)

clean:
	rm -rf build
