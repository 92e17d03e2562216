# Chronik. `make` prints the targets.
SHELL := /bin/bash
GO    ?= go
BIN   := bin/chronik
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
SEEDS ?= 10000
MUTATIONS ?= 50
REF   ?= HEAD~1
FUZZTIME ?= 10s

.DEFAULT_GOAL := help
.PHONY: help build run test test-fast race lint fuzz crash verify-crash power-cut attack compat compat-native compat-matrix compaction conformance differential differential-tools acl-differential bench bench-log bench-compare bench-compare-more bench-diff bench-mixed clean

help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

build: ## build bin/chronik (static)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/chronik

run: build ## build and serve on ./chronik-data, 127.0.0.1:9092
	$(BIN) serve --data-dir ./chronik-data

test: ## every test, with the race detector and poisoned buffers
	$(GO) test -race -tags invariants -timeout 30m ./...

test-fast: ## every test, without the race detector
	$(GO) test ./...

race: test

lint: ## gofmt, vet, staticcheck, dead code, the house rules
	@test -z "$$(gofmt -l .)" || { echo 'gofmt would change:'; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags invariants ./...
	$(GO) tool staticcheck ./...
	$(GO) tool errcheck -ignoretests -exclude .errcheck ./...
	@out=$$($(GO) tool deadcode -test ./... | grep -v _test.go); test -z "$$out" || { echo "$$out"; exit 1; }
	$(GO) test -count=1 -run 'TestImports|TestHouseRules' ./cmd/chronik

fuzz: ## each fuzz target for FUZZTIME
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
		echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

crash: ## the crash model over SEEDS seeds (from CRASH_FIRST), with what they went through
	@set -o pipefail; CRASH_SEEDS=$(SEEDS) $(GO) test -count=1 -tags invariants -timeout 120m -parallel 8 -run 'Crash' -v ./logstore/... | \
		grep -vE '^(=== |    --- PASS)'

verify-crash: build ## kill -9 the broker every EVERY (15) s for FOR (600) s under transactions, groups and producers
	bench/crash

power-cut: build ## the same with power cuts: on a file system that loses what was not synced (bench/powercut, FUSE)
	POWER=1 bench/crash

compat: build ## foreign clients against bin/chronik (installs them itself)
	bench/compat/run

compat-native: build ## the foreign clients that are compiled for minutes first
	bench/compat/run -n

compat-matrix: build ## client by version, old and new: produce, consume, group, each codec; writes README.md's table (ONLY='sarama|Java' for a part, unwritten)
	cd bench/compat/matrix && $(GO) run . $(if $(ONLY),-only '$(ONLY)',-into $(CURDIR)/README.md)

attack: build ## attempts to get in, and to keep others out, against bin/chronik (ATTACK_SHORT=1 without the floods)
	cd bench/compat && $(GO) test -count=1 -v ./attack

conformance: ## every version of every API against a live broker: answers, bytes, $(MUTATIONS) damages each
	CHRONIK_MUTATIONS=$(MUTATIONS) $(GO) test -count=1 -v -run 'TestGoal|TestConformance|TestMutations' ./broker

acl-differential: build ## the same random ACLs and requests to Apache Kafka and to Chronik; fails where they refuse differently
	bench/compat/acls/run -v

compaction: build ## Apache Kafka's LogCompactionTester against bin/chronik
	CHRONIK_SLOW=1 bench/compat/run '^compaction$$'

differential: build ## the same requests to Apache Kafka and to Chronik; fails on a difference that its FINDINGS.md does not explain
	bench/compat/differential/run

differential-tools: build ## Apache Kafka's own tools on Kafka and on Chronik; fails where a user sees something else that tools.txt does not explain
	bench/compat/differential/tools

bench: ## the in-process benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-log: ## the log's benchmarks beside raw fdatasync, ROUNDS (5) times; writes logstore/FIGURES.md and mmap/FIGURES.md (WHAT=mmap for one)
	bench/log

WORK    ?= $(or $(CHRONIK_COMPAT_WORK),bench/compat/.work)
COMPARE ?=
LIMIT_COMPARE ?= 47m

bench-compare: build ## Apache Kafka and Chronik beside each other, within LIMIT_COMPARE (47m); writes README.md's figures (COMPARE='--short --duration 1s --warm 3s' for a short look)
	bench/peers/kafka/kafka setup $(WORK)/kafka
	$(BIN) bench compare --kafka-dir $(WORK)/kafka --limit $(LIMIT_COMPARE) --into README.md --figures bench/figures $(COMPARE)

bench-compare-more: build ## the same for long and rare loads: SASL_SSL, handshakes, idle groups, churn, restarts with 10 GB
	bench/peers/kafka/kafka setup $(WORK)/kafka
	$(BIN) bench compare --more --kafka-dir $(WORK)/kafka --limit $(LIMIT_COMPARE) --into README.md --figures bench/figures $(COMPARE)

.PHONY: pgo
pgo: ## the profile that the compiler goes by (cmd/chronik/default.pgo), of a broker under load
	bench/pgo

.PHONY: bench-primitives
bench-primitives: ## hashes and codecs with and without vectors, into README.md
	bench/primitives README.md

bench-mixed: build ## a tail beside retention and compaction, and what its slow requests waited for (RUN=20 s for each half, SLOW=5ms, PORT=19092)
	bench/mixed bin/chronik

bench-diff: ## the benchmarks of the tree against REF's; fails on a significant loss above LIMIT (10) percent
	bench/diff $(REF)

clean: ## remove what was built
	rm -rf bin bench/compat/.work
