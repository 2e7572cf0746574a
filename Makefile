# Everything a newcomer or CI needs. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

MODULES   := . internal/e2e examples/go
TOOL      := go tool -modfile=$(CURDIR)/.ci/tools.mod
FUZZTIME  ?= 20s
V         ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./bin/duelogd, duelogctl and duelog-bench
	go build $(REVISION) -o bin/ ./cmd/...

.PHONY: run
run: build ## build and start the broker on ./data, with its demonstration; stop it with Ctrl-C
	./bin/duelogd --demo --data ./data

.PHONY: test
test: lint unit e2e ## everything: lint, unit tests with race detector and fuzz seeds, real clients

.PHONY: lint
lint: ## go vet for Linux and macOS, gofumpt, staticcheck
	@unformatted=$$($(TOOL) gofumpt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	@for module in $(MODULES); do echo "lint $$module"; \
		(cd $$module && go vet ./... && $(TOOL) staticcheck ./...); done
	GOOS=darwin go vet ./...

.PHONY: unit
unit: ## unit tests with race detector and fuzz seeds
	go test -race -timeout 15m ./...

# Without package arguments go test also shows what a passing run has to say:
# here, which clients were skipped because the machine cannot run them.
.PHONY: e2e
e2e: ## end-to-end tests with the stock Java, Go and Python clients (V=1 shows each)
	cd internal/e2e && go test -count=1 -timeout 15m $(if $(V),-v)

.PHONY: e2e-race
e2e-race: ## the same with a broker that has the race detector
	go build -race -o bin/duelogd-race ./cmd/duelogd
	DUELOG_E2E_BROKER=$(CURDIR)/bin/duelogd-race $(MAKE) e2e

.PHONY: fuzz-seeds
fuzz-seeds: ## run only the seeds of the fuzz targets
	go test -run '^Fuzz' ./...

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZTIME (20s)
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; done; done

.PHONY: simulate
simulate: ## long simulation of the store against its model, with a crash at every operation on the disk
	DUELOG_SIM_SWEEP=1 DUELOG_SIM_SEEDS=50 go test ./store -timeout 90m -rapid.checks=500 -rapid.steps=40 \
		-run 'TestSimulation|TestCrashAtEveryOperation|TestSameOperations'

.PHONY: test-peers
test-peers: ## the tests against real servers of others, those that are installed: benchmark's peers, import-rocketmq
	DUELOG_BENCH_PEERS=1 go test -timeout 15m ./bench/peers ./tools

include bench/bench.mk

.PHONY: fmt
fmt: ## format the source
	$(TOOL) gofumpt -w .

.PHONY: clean
clean: ## remove what was built and the data of make run
	rm -rf bin data
