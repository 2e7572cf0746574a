# Targets of the benchmarks, included by the Makefile.

BENCH_DIR  ?= bin/bench
BENCH_ARGS ?=
REF        ?= HEAD
REPEAT     ?= 5
# What results name as their source when Go records nothing (-buildvcs=false).
REVISION    = -ldflags "-X main.revision=$$(git describe --always --dirty=-modified --abbrev=40 --exclude '*' 2>/dev/null || true)"
MICRO      ?= ./commitlog/... ./delayindex/... ./consumequeue/... ./store/... ./server/... ./bench/...

.PHONY: bench bench-peers bench-compare bench-scale bench-micro

bin/duelog-bench: FORCE
	@mkdir -p bin $(BENCH_DIR)
	@go build $(REVISION) -o bin/ ./cmd/duelog-bench ./cmd/duelogd

FORCE:

bench: bin/duelog-bench ## measure duelog and the limits of this machine, a few minutes
	bin/duelog-bench run --short --json $(BENCH_DIR)/bench.json --html $(BENCH_DIR)/bench.html --gobench $(BENCH_DIR)/bench.txt $(BENCH_ARGS)

bench-peers: bin/duelog-bench ## measure duelog and its peers in turns; installs those that are missing
	bin/duelog-bench peers --install --modes both --json $(BENCH_DIR)/peers.json --html $(BENCH_DIR)/peers.html $(BENCH_ARGS)

bench-compare: bin/duelog-bench ## compare with another revision: make bench-compare REF=main REPEAT=5
	@rm -rf $(BENCH_DIR)/ref && mkdir -p $(BENCH_DIR)/ref
	git archive $(REF) | tar -x -C $(BENCH_DIR)/ref
	cd $(BENCH_DIR)/ref && go build -o ../duelogd-ref ./cmd/duelogd
	@rm -rf $(BENCH_DIR)/ref
	bin/duelog-bench versus --repeat $(REPEAT) --json-old $(BENCH_DIR)/old.json --json $(BENCH_DIR)/new.json $(BENCH_ARGS) $(BENCH_DIR)/duelogd-ref bin/duelogd

bench-scale: bin/duelog-bench ## a billion index entries, 100 M pending messages, a simulated year: 35 GB of disk, the better part of an hour
	bin/duelog-bench index -n 1000000000 --no-limits --json $(BENCH_DIR)/index.json $(BENCH_ARGS)
	bin/duelog-bench scale --systems embedded-async --min 1000000 --max 100000000 --body 64 --json $(BENCH_DIR)/scale.json $(BENCH_ARGS)
	bin/duelog-bench cold --no-limits --json $(BENCH_DIR)/cold.json $(BENCH_ARGS)
	bin/duelog-bench steady --no-limits --json $(BENCH_DIR)/steady-mix.json $(BENCH_ARGS)
	bin/duelog-bench steady --mix year --per-day 1500 --no-limits --json $(BENCH_DIR)/steady-year.json $(BENCH_ARGS)

bench-micro: ## run the Go benchmarks beside the code
	@echo "revision: $$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
	@echo "date: $$(date -u '+%F %H:%M UTC')"
	@echo "load: $$(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || echo unknown)"
	go test -run '^$$' -bench . -benchtime 200ms $(MICRO)
