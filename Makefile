# SPDX-License-Identifier: GPL-3.0-or-later
# A thin front for meson, ninja and the scripts in tools/. `make run` and `make check` do all of their own set-up.
BUILD ?= build
BUILD_ASAN ?= build-asan
BUILD_FUZZ ?= build-fuzz
BUILD_COV ?= build-cov
FUZZ_SECONDS ?= 60
NINJA = ninja -C

.PHONY: all deps deps-check deps-machine build build-asan run check check-quick check-machine bench fuzz coverage deb install clean help

.NOTPARALLEL: # ninja does the work in parallel; two apt at a time do not work

all: build

help:
	@echo "make run            set up everything and show two qubes at work"
	@echo "make check          set up everything and run all tests"
	@echo "make check-quick    unit tests and checks only (seconds)"
	@echo "make check-machine  slow tests: desktop template, other releases"
	@echo "make bench          measure; make fuzz: fuzz each decoder FUZZ_SECONDS=$(FUZZ_SECONDS) long"
	@echo "make coverage       lines of each guest-facing parser that tests and corpora run"
	@echo "make deb            packages of the host and of the guest; make install [DESTDIR=…]; make clean"

deps:
	@tools/deps.sh

deps-check:
	@tools/deps.sh tools/packages.txt tools/packages-check.txt

deps-machine:
	@tools/deps.sh tools/packages.txt tools/packages-check.txt tools/packages-machine.txt

$(BUILD)/build.ninja: | deps
	meson setup $(BUILD) -Dwerror=true --prefix=/usr

$(BUILD_ASAN)/build.ninja: | deps
	meson setup $(BUILD_ASAN) -Dwerror=true -Dbuildtype=debug -Db_sanitize=address,undefined -Db_lundef=false

$(BUILD_FUZZ)/build.ninja: | deps
	@tools/deps.sh tools/packages-fuzz.txt
	CC=clang-14 meson setup $(BUILD_FUZZ) -Dfuzz=true -Dbuildtype=debug -Db_sanitize=address,undefined -Db_lundef=false

build: deps $(BUILD)/build.ninja
	@$(NINJA) $(BUILD)

build-asan: deps $(BUILD_ASAN)/build.ninja
	@$(NINJA) $(BUILD_ASAN)

run: build
	@BULKHEAD_BUILD=$(abspath $(BUILD)) tools/tour

check: deps-check build build-asan
	@tools/run-checks --build $(BUILD) --asan $(BUILD_ASAN) all

check-quick: deps-check build
	@tools/run-checks --build $(BUILD) quick

check-machine: deps-machine build
	@tools/run-checks --build $(BUILD) machine

bench: deps-check build
	@bench/run --build $(abspath $(BUILD)) --write

fuzz: $(BUILD_FUZZ)/build.ninja
	@$(NINJA) $(BUILD_FUZZ) fuzzers
	@tools/run-fuzz $(BUILD_FUZZ) $(FUZZ_SECONDS)

$(BUILD_COV)/build.ninja: | deps
	meson setup $(BUILD_COV) -Dbuildtype=debug -Db_coverage=true

coverage: $(BUILD_COV)/build.ninja
	@$(NINJA) $(BUILD_COV)
	@tools/coverage $(BUILD_COV)

deb: build
	@packaging/build-debs $(BUILD)

install: build
	@meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) $(BUILD_ASAN) $(BUILD_FUZZ) $(BUILD_COV)
