# SPDX-License-Identifier: GPL-2.0-or-later
# Thin: each goal calls the script or build system that knows. `make demo` and `make test` need nothing before them.
SHELL := /bin/bash
BUILD := build/release
JOBS := $(shell nproc)

.PHONY: all deps build demo test bench bench-kernel install style tidy clean

all: build

deps:
	scripts/install-deps

build:
	@test -f $(BUILD)/build.ninja || cmake --preset release
	cmake --build $(BUILD) -j $(JOBS)
	$(MAKE) -C kmod

demo: deps
	scripts/run-demo

test: deps
	scripts/run-tests

# A short look: make bench BENCH="--seconds 10 --rounds 1"
bench: deps
	scripts/run-bench $(BENCH)

# What the kernel target costs per write. A short look: make bench-kernel BENCH="--rounds 1 --no-uml"
bench-kernel: deps
	scripts/run-kernel-bench $(BENCH)

style: deps
	scripts/check-style

# clang-tidy on what changed since a commit: make tidy SINCE=HEAD~3
tidy: deps
	scripts/check-tidy $(SINCE)

# DESTDIR is honoured by both; the module goes below lib/modules of the kernel it was built for.
install: build
	DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix /usr --strip
	$(MAKE) -C kmod install DESTDIR="$(DESTDIR)"

clean:
	rm -rf build
	$(MAKE) -C kmod clean
