# SPDX-License-Identifier: GPL-2.0-or-later
# The commands that the README names. Each does everything itself, from a bare Debian 12 on.
# For daily work use the CMake presets: release, debug, clang, asan, tsan.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo test bench clean

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

bench:
	@scripts/install-packages bench
	@$(call configure,release,-DDMR_TESTS=ON -DDMR_BENCH=ON)
	@$(call compile,release) --target dm-remap bench
	@bench/run build/release

clean:
	rm -rf build
