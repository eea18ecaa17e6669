# "make help" lists the targets. Debian 12 with Go 1.26 (an older one fetches it) and make is enough; as root, what is missing is
# installed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# go.mod may ask for a newer Go than is installed; the go command then fetches it. Images and distributions often forbid that.
ifeq ($(shell go env GOTOOLCHAIN 2>/dev/null),local)
export GOTOOLCHAIN := auto
endif
# The revision is not stamped into programs: that fails where the checkout belongs to another user.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

# The demo's settings, all of which may be given on the command line: make demo DEMO_GATEWAY_PORT=8081.
DEMO_DIR ?= .demo
DEMO_GATEWAY_PORT ?= 8080
# each the first of three in a row, one a node
DEMO_HAPROXY_PORT ?= 8000
DEMO_DATAPLANE_PORT ?= 5555
DEMO_ISSUER_PORT ?= 5559
# the first of six
DEMO_SERVICE_PORT ?= 9101
# a real Data Plane API, 2.x or 3.x
DATAPLANE_BIN ?=
export DEMO_DIR DEMO_GATEWAY_PORT DEMO_HAPROXY_PORT DEMO_DATAPLANE_PORT DEMO_ISSUER_PORT DEMO_SERVICE_PORT DATAPLANE_BIN

# Two packages at once: many of them start programs of their own.
GO_TEST := go test -race -count=1 -p 2 -timeout 20m

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-14s %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## install what building and testing needs, by apt-get, as root; nothing where it is there
	@tools/setup/setup.sh test

.PHONY: setup-demo
setup-demo:
	@tools/setup/setup.sh demo

.PHONY: build
build: ## build the gateway and the tools into .build/bin
	@echo 'building (the first time: 3 to 5 minutes) ...'
	@mkdir -p .build/bin
	go build -o .build/bin/gateway ./backend
	go build -o .build/bin/ ./tools/...

.PHONY: demo
demo: setup-demo ## start a small world on loopback and print a walk-through; Ctrl-C stops it. DATAPLANE_BIN=.. DEMO_GATEWAY_PORT=..
	@mkdir -p .build/bin
	@go build -o .build/bin/demo ./tools/demo
	@exec .build/bin/demo

.PHONY: demo-token
demo-token: ## log in to the running demo without a browser and print Clutch's token: USER=alice@example.com
ifneq ($(origin USER),command line)
	@echo 'usage: make demo-token USER=alice@example.com' >&2; exit 2
else
	@[ -x .build/bin/demotoken ] || { echo 'the demo does not run: start it with make demo' >&2; exit 1; }
	@exec .build/bin/demotoken -endpoints $(DEMO_DIR)/endpoints.json '$(USER)'
endif

.PHONY: generate
generate: setup ## generate Go and OpenAPI out of the protos
	tools/generate/generate.sh

.PHONY: verify
verify: setup ## check that generated code is fresh, that the code is formatted, and go vet
	tools/generate/verify.sh
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted" >&2; exit 1; fi
	go vet ./...

.PHONY: test
test: setup build verify ## install what is missing and run all tests, a real HAProxy included, with the race detector
	@echo 'testing (the first time: 10 minutes and more, since all is built again for the race detector) ...'
	$(GO_TEST) ./...

.PHONY: test-haproxy3
test-haproxy3: setup build ## run the hostile requests and the lab against HAProxy 3.0 (of Debian 13, in .build/haproxy3); as root
	tools/setup/haproxy3.sh .build/haproxy3
	PATH="$$PWD/.build/haproxy3/bin:$$PATH" $(GO_TEST) ./internal/haproxyproc ./test/enforcement ./test/lab

.PHONY: bench
bench: setup ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-fleet
bench-fleet: setup ## measure the fleet: a table, and the same as lines in .bench/fleet.jsonl; some 6 minutes (docs/performance.md)
	@BENCH_FLEET="$$PWD/.bench/fleet.jsonl" go test -v -count=1 -timeout 20m -run TestFiguresOfTheFleet ./test/bench

.PHONY: nightly
nightly: setup build ## run the long tests as well
	NIGHTLY=1 $(GO_TEST) -timeout 120m ./...
	$(MAKE) test-haproxy3

.PHONY: mutate
mutate: setup ## change the code of grant and policy in small ways and see that the tests notice (half an hour and more)
	tools/mutate/mutate.sh backend/grant backend/policy

.PHONY: clean
clean: ## remove what was built; the demo's state in .demo stays
	rm -rf .build
