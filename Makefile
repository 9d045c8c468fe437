# Runs on a machine with Go and make; .ci/prepare installs and starts the rest, or says what to install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules

# Packages tested side by side. Two keep two cores busy; those that share the engine tell their objects apart by instance.
SIDE_BY_SIDE ?= 2

# The database's engine is C turned into Go: watched as well, it makes the tests of everything that stands on it take up to nine times as long. Ours is
# watched up to where it calls it.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc/...=-race=false -gcflags=modernc.org/memory=-race=false

# Tests of one package that run side by side. Those that may are the ones that wait for most of their time.
WAITING ?= 4

.PHONY: help demo demo-once test quick lint soak bench build

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## show a pull request become a URL, on a simulated GitHub and a real Docker engine; Ctrl-C ends it
	@.ci/prepare demo
	@$(MAKE) --no-print-directory build
	@bin/vitrine demo

demo-once: ## walk through the demo's story without a person and say which step failed, if one did
	@.ci/prepare demo
	@$(MAKE) --no-print-directory build
	@bin/vitrine demo --once

test: ## lint, then every test but the soaks, with the race detector; needs an engine, which root is given
	@.ci/prepare test
	@$(MAKE) --no-print-directory lint
	go test $(RACE) -count=1 -timeout 25m -p $(SIDE_BY_SIDE) -parallel $(WAITING) -skip '^TestSoak' ./...

quick: ## the tests that need neither root nor an engine
	go test -short -count=1 -skip "^TestSoak" ./...

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w these:" >&2; echo "$$unformatted" >&2; exit 1; fi
	go vet ./...
	go tool staticcheck ./...

soak: ## fuzz targets, properties and TestSoak... for longer; ten minutes at most
	@.ci/prepare test
	@.ci/soak

# What `make bench` measures, in how many rounds, and the file that it writes; see bin/bench measure --help for the defaults.
ROWS ?=
ROUNDS ?=
OUT ?=

bench: ## measure against the CI script, the floor and the bounds, and rewrite BENCHMARKS.md; twenty minutes
	@.ci/prepare bench
	@$(MAKE) --no-print-directory build
	CGO_ENABLED=0 go build -trimpath -o bin/bench ./cmd/bench
	@bin/bench $(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(OUT),--out $(OUT))

build: ## bin/vitrine, static: the demo makes its sample images from it
	CGO_ENABLED=0 go build -trimpath -o bin/vitrine ./cmd/vitrine
