# SPDX-License-Identifier: GPL-2.0-or-later
# The commands that the README names. Each does everything itself, from a bare Debian 12 on.
# For daily work use the CMake presets: release, debug, clang, asan, tsan,
# fuzz, coverage.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo test fuzz coverage bench clean kernel test-kernel

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

# The release build is g++'s, both sanitizer builds are clang's. One ctest run over all three.
test:
	@scripts/install-packages test
	@$(call configure,release,-DDMR_TESTS=ON -DDMR_BENCH=ON)
	@$(call configure,asan)
	@$(call configure,tsan)
	@$(call compile,release)
	@$(call compile,asan)
	@$(call compile,tsan)
	@echo 'subdirs(release asan tsan)' >build/CTestTestfile.cmake
	@ctest --test-dir build --parallel $(JOBS) --timeout 300 --no-tests=error --output-on-failure

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
MODULE := build/kernel/src/dm_remap.ko
kernel:
	@scripts/install-packages kernel
	@scripts/kernel-sources build/kernel/src
	@$(MAKE) --no-print-directory -C $(or $(KDIR),$$(ls -d /lib/modules/*/build | tail -1)) \
	  M=$(CURDIR)/build/kernel/src modules
	@tests/kernel/check-objects build/kernel/src
	@strip --strip-debug -o build/kernel/dm_remap.ko $(MODULE)
	@echo "$(MODULE): $$(stat -c %s build/kernel/dm_remap.ko) bytes when stripped"

test-kernel: build kernel
	@scripts/install-packages test-kernel
	@scripts/fetch-kernel build/kernel-vm
	@tests/kernel/run $(SCENARIOS)

clean:
	rm -rf build
