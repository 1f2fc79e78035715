# Waybill's commands. `make` alone lists them, and CI runs nothing that is not here.
.DEFAULT_GOAL := help

# Two modules, what others import (sdk) and everything else, and the example of a third.
PACKAGES := ./... ./sdk/... ./examples/trip/...
COMMANDS := ./orders ./inventory ./orchestrator ./outbox-relay ./waybill ./migrations/cmd/migrate

# The tools have a module of their own (tools/go.mod), so that what they depend on never chooses
# the version of what Waybill depends on. They are built once into bin/.
tool = GOWORK=off go build -C tools -o ../bin/ $(1)

bin/golangci-lint: tools/go.mod tools/go.sum
	$(call tool,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
bin/gofumpt: tools/go.mod tools/go.sum
	$(call tool,mvdan.cc/gofumpt)
bin/gotestsum: tools/go.mod tools/go.sum
	$(call tool,gotest.tools/gotestsum)
bin/govulncheck: tools/go.mod tools/go.sum
	$(call tool,golang.org/x/vuln/cmd/govulncheck)

bin/buf: tools/go.mod tools/go.sum
	$(call tool,github.com/bufbuild/buf/cmd/buf)
bin/protoc-gen-go: tools/go.mod tools/go.sum
	$(call tool,google.golang.org/protobuf/cmd/protoc-gen-go)
bin/protoc-gen-go-grpc: tools/go.mod tools/go.sum
	$(call tool,google.golang.org/grpc/cmd/protoc-gen-go-grpc)
bin/grpcurl: tools/go.mod tools/go.sum
	$(call tool,github.com/fullstorydev/grpcurl/cmd/grpcurl)

# Not of tools/: it does not compile with the version of its YAML parser that the linters need.
ACTIONLINT := v1.7.12
bin/actionlint: Makefile
	GOWORK=off GOBIN="$(CURDIR)/bin" go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT)

# Nor this one: it brings git and a classifier of licences along.
CYCLONEDX := v1.10.0
bin/cyclonedx-gomod: Makefile
	GOWORK=off GOBIN="$(CURDIR)/bin" go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX)

# Nor this one: it brings the clients of every registry and packager along.
GORELEASER := v2.15.1
bin/goreleaser: Makefile
	GOWORK=off GOBIN="$(CURDIR)/bin" go install github.com/goreleaser/goreleaser/v2@$(GORELEASER)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^##@/ { print "\n" substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Run it

.PHONY: demo
demo: ## Start everything, place orders, print their timelines, stop
	go run ./devstack demo

.PHONY: up
up: ## Run the whole system in the foreground until Ctrl-C
	@go build -o bin/ ./devstack
	@exec bin/devstack up $(UPFLAGS)

# One process of the stack that `make up` runs in another terminal:
#   make stack-kill NAME=broker
STACK := stack-stop stack-start stack-kill stack-freeze stack-thaw
.PHONY: $(STACK)
stack-stop: ## Stop one process of the running stack: NAME=broker
stack-start: ## Start it again
stack-kill: ## Kill it with SIGKILL
stack-freeze: ## Freeze it with SIGSTOP
stack-thaw: ## Let it go on
$(STACK): stack-%:
	go run ./devstack $* $(or $(NAME),$(error say which process: make $@ NAME=broker))

.PHONY: migrate
migrate: ## Migrate a database: DATABASE_URL=postgres://… SETS="outbox orders"
	go run ./migrations/cmd/migrate up \
	  --database $(or $(DATABASE_URL),$(error say which database: make migrate DATABASE_URL=… SETS="outbox orders")) \
	  $(or $(SETS),$(error say what to install: SETS="outbox orders"))

##@ Break it

# BROKER=kafka takes a real Apache Kafka in place of the embedded broker. DRILLFLAGS are passed on:
#   make drill DRILLFLAGS="--for 60s --rate 500"
.PHONY: drill drills drills-short audit
drill: ## Kill the broker for 30 s under load, and show that nothing was lost
	go run ./drills run kafka-down $(DRILLFLAGS)

drills: ## Run every failure drill (up to 40 minutes)
	go run ./drills run --all $(DRILLFLAGS)

drills-short: ## Run the drills that CI runs (up to 7 minutes)
	go run ./drills run --short $(DRILLFLAGS)

audit: ## Compare databases and topics of the running stack: AUDITFLAGS=--watch goes on and on
	go run ./drills audit $(AUDITFLAGS)

DRILLFLAGS ?=
AUDITFLAGS ?=

# How much, and which parts:
#   make bench BENCHFLAGS=--quick
#   make bench BENCHFLAGS="throughput latency --sustain 20s"
.PHONY: bench bench-compare bench-relay
bench: ## Measure the whole system (20 minutes; --quick: 2)
	go run ./drills/bench $(BENCHFLAGS)

bench-compare: ## Measure in turns against another revision: BASE=HEAD~1 (15 minutes)
	go run ./drills/bench compare --base $(or $(BASE),$(error say which revision to compare with: make bench-compare BASE=HEAD~1)) $(BENCHFLAGS)

bench-relay: ## Measure the outbox relay by itself (10 minutes; --quick: 4): BENCHFLAGS="drain latency --rows 100000"
	go run ./drills/bench relay $(BENCHFLAGS)

##@ Change it

.PHONY: test
test: bin/gotestsum ## Run every test with the race detector
	bin/gotestsum --format $(TEST_FORMAT) $(TEST_RERUN) --packages "$(PACKAGES)" -- -race -timeout 20m $(TESTFLAGS)
	cd deploy/observability && GOWORK=off go test ./...
	cd deploy/helm && GOWORK=off go test ./...

# Which databases the outbox and the relay work on: make test-postgres PG=14
.PHONY: test-postgres
test-postgres: ## Test schema, outbox and relay on another Postgres: PG=14 to 18 (fetched if it is not there)
	WAYBILL_POSTGRES_VERSION=$(or $(PG),$(error say which Postgres: make test-postgres PG=14)) \
	  go test -race -count=1 -timeout 15m ./migrations/... ./sdktest/outbox/... ./sdktest/inbox/... ./sdktest/participant/... ./outbox-relay/...

# With search, and every link checked: a page that is not there, or a heading, fails the build.
.PHONY: docs-site
docs-site: ## Build the documentation as a site into bin/site (MkDocs from PyPI)
	test -x bin/docs/bin/mkdocs || { python3 -m venv bin/docs && bin/docs/bin/pip install --quiet --disable-pip-version-check -r .ci/docs-requirements.txt; }
	NO_MKDOCS_2_WARNING=1 bin/docs/bin/mkdocs build --strict --clean --quiet

# From the commit that its test names, or another: make test-upgrade FROM=v0.1.0
.PHONY: test-upgrade
test-upgrade: ## Upgrade a running system of an earlier revision to this one under load, and roll it back (3 minutes)
	WAYBILL_UPGRADE_FROM=$(or $(FROM),previous) go test -count=1 -timeout 20m -v -run TestUpgrade ./drills/upgrade

.PHONY: setup
setup: ## Install what a bare Debian or Ubuntu lacks beside Go, for every test to run
	.ci/setup

# What the tests of examples/python-participant and examples/java-participant need; without it they are skipped.
.PHONY: setup-examples
setup-examples: ## Fetch what the Python and Java examples need (PyPI, Maven Central)
	python3 -m venv bin/examples/python
	bin/examples/python/bin/pip install --quiet --disable-pip-version-check -r examples/python-participant/requirements.txt
	mvn --quiet --batch-mode -f examples/java-participant/pom.xml dependency:build-classpath -Dmdep.outputFile="$(CURDIR)/bin/examples/java-classpath"

# What the console looks like, in a real browser on a stack of its own; look at them before you commit.
.PHONY: screenshots
screenshots: ## Take the screenshots of docs/images
	WAYBILL_SCREENSHOTS="$(CURDIR)/docs/images" go test -count=1 -timeout 10m ./orchestrator/console/browsertest

TEST_FORMAT ?= standard-quiet
TESTFLAGS   ?=
# Flags of gotestsum: which failed tests are run again. .ci/run sets them, and names those tests.
TEST_RERUN  ?=

.PHONY: build
build: ## Compile everything, the sdk also on its own, and the commands into bin/
	go build $(PACKAGES)
	go build -o bin/ $(COMMANDS)
	cd sdk && GOWORK=off go vet ./...

.PHONY: lint
lint: check-workflows check-proto check-schemas check-digests bin/golangci-lint ## Check the code with the linters of .golangci.yml, the workflows and the images
	bin/golangci-lint run $(PACKAGES)

# The generated code is committed. What is compared with is the contract of the last release
# (docs/releasing.md); until there is one, the first that others could build on.
PROTO_TOOLS := bin/buf bin/protoc-gen-go bin/protoc-gen-go-grpc
.PHONY: proto proto-baseline check-proto
proto: $(PROTO_TOOLS) ## Generate the Go code of contracts/proto
	cd contracts/proto && ../../bin/buf format -w && ../../bin/buf generate

proto-baseline: bin/buf ## Take the gRPC contract as it is for what later changes must not break
	cd contracts/proto && ../../bin/buf build -o baseline.json

check-proto: $(PROTO_TOOLS) ## Check the gRPC contract: lint, breaking changes, and that the generated code is its own
	cd contracts/proto && ../../bin/buf lint && ../../bin/buf format --diff --exit-code
	cd contracts/proto && ../../bin/buf breaking --against baseline.json
	@was=$$(cat contracts/proto/*/v1/*.go | cksum); (cd contracts/proto && ../../bin/buf generate); \
	  [ "$$was" = "$$(cat contracts/proto/*/v1/*.go | cksum)" ] || \
	  { echo "the generated code was not that of contracts/proto; commit what \`make proto\` has written" >&2; exit 1; }

# As for the gRPC contract, with the messages on the topics.
.PHONY: check-schemas schemas-baseline
check-schemas: ## Check that consumers of today read the messages of the last release
	go run ./contracts/schemas/check contracts/schemas/baseline contracts/schemas

schemas-baseline: ## Take the messages' schemas as they are for what later changes must not break
	rm -f contracts/schemas/baseline/*.json && cp contracts/schemas/*.json contracts/schemas/baseline/

.PHONY: check-workflows
check-workflows: bin/actionlint ## Check the workflows, and that their actions are pinned by commit
	bin/actionlint -shellcheck= -pyflakes=
	@! grep -nE 'uses: ' .github/workflows/*.yml | grep -vE 'uses: [^ ]+@[0-9a-f]{40} # v' || \
	  { echo "Pin these actions by commit, with the version behind it." >&2; exit 1; }

# What is built from a tag may be another image tomorrow; a digest names what was tried.
.PHONY: check-digests
check-digests: ## Check that every image is pinned by digest
	@! grep -nE '^FROM .*[:@]|^ +image: .*\.[a-z]|^ +image: postgres|^[A-Z_]+_IMAGE *:=' Dockerfile compose.yaml Makefile | grep -v '@sha256:' || \
	  { echo "Pin these images by digest: docker buildx imagetools inspect IMAGE --format '{{.Manifest.Digest}}'" >&2; exit 1; }

.PHONY: fmt
fmt: bin/gofumpt ## Format the code
	bin/gofumpt -w .

.PHONY: tidy
tidy: ## Tidy the go.mod of every module
	cd sdk && GOWORK=off go mod tidy
	cd tools && GOWORK=off go mod tidy
	cd deploy/observability && GOWORK=off go mod tidy
	cd deploy/helm && GOWORK=off go mod tidy
	go mod edit -replace=waybill.example/sdk=./sdk
	GOWORK=off go mod tidy; status=$$?; go mod edit -dropreplace=waybill.example/sdk; exit $$status
	cd examples/trip && go mod edit -replace=waybill.example/sdk=../../sdk -replace=waybill.example=../..
	cd examples/trip && GOWORK=off go mod tidy; status=$$?; \
	  go mod edit -dropreplace=waybill.example/sdk -dropreplace=waybill.example; exit $$status

.PHONY: module-path
module-path: ## Publish under a path of your own: TO=github.com/you/waybill
	git ls-files -z -- ':!CHANGELOG.md' ':!docs/decisions' | \
	  xargs -0 perl -pi -e 's{waybill\.example}{$(or $(TO),$(error say where to: make module-path TO=github.com/you/waybill))}g'
	go work sync

.PHONY: generate
generate: ## Write the generated files
	go generate $(PACKAGES)

bin/vulns: tools/vulns/*.go
	$(call tool,./vulns)

# The database is a Go module as well, which a module proxy has where vuln.go.dev cannot be reached.
# It is asked for one module first, so that a machine without a network skips at once.
.PHONY: vuln
vuln: bin/govulncheck bin/vulns ## Look for known vulnerabilities: VULNFLAGS=-strict also those of this Go's standard library
	@GOWORK=off go test -C tools ./vulns
	@if bin/govulncheck -mode=query -format=json stdlib@go1.26.0 >/dev/null 2>&1; then db=; \
	elif dir=$$(GOWORK=off GOFLAGS=-mod=mod go mod download -json golang.org/x/vulndb@latest 2>/dev/null | sed -n 's/.*"Dir": "\(.*\)".*/\1/p') && [ -n "$$dir" ]; \
	  then db="-db=file://$$dir/data/osv"; echo "the database is $${dir##*/}"; \
	else echo "skipped: govulncheck, since neither $${GOVULNDB:-https://vuln.go.dev} nor the module golang.org/x/vulndb can be reached"; exit 0; fi; \
	bin/govulncheck $$db -format=json $(PACKAGES) | bin/vulns $(VULNFLAGS)

##@ Publish it

# The licences of what is linked and shipped; devstack/notices has a test that this is current.
.PHONY: notices
notices: ## Write THIRD_PARTY_NOTICES.md
	go run ./devstack/notices >THIRD_PARTY_NOTICES.new && mv THIRD_PARTY_NOTICES.new THIRD_PARTY_NOTICES.md

# The bytes are a function of the commit: paths are trimmed, and the version comes from git. Of each image
# there are a bill of materials and how it was built (SLSA provenance), attached in the registry.
#   make images IMAGES=ghcr.io/you/waybill VERSION=v0.1.0 PUSH=true
BUILDKIT_IMAGE := docker.io/moby/buildkit:v0.26.2@sha256:de10faf919fc71ba4eb1dd7bd6449566d012b0c9436b1c61bfee21d621b009aa
SCANNER_IMAGE := docker.io/docker/buildkit-syft-scanner:stable-1@sha256:79e7b013cbec16bbb436f312819a49a4a57752b2270c1a9332ae1a10fcc82a68
IMAGES  ?= localhost/waybill
VERSION ?= local
PUSH    ?= false
.PHONY: images sbom check-reproducible
images: ## Build every image for amd64 and arm64: IMAGES=ghcr.io/you/waybill VERSION=v0.1.0 PUSH=true
	docker buildx inspect waybill >/dev/null 2>&1 || docker buildx create --name waybill --driver docker-container --driver-opt image=$(BUILDKIT_IMAGE)
	for target in $(notdir $(COMMANDS)); do \
	  SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) docker buildx build --builder waybill --platform linux/amd64,linux/arm64 \
	    --target $$target --tag $(IMAGES)/$$target:$(VERSION) --provenance mode=max --attest type=sbom,generator=$(SCANNER_IMAGE) \
	    --output type=image,rewrite-timestamp=true,push=$(PUSH) . || exit 1; \
	done

sbom: bin/cyclonedx-gomod ## Write a bill of materials of each command (CycloneDX) into bin/
	go build -trimpath -o bin/ $(COMMANDS)
	for command in $(notdir $(COMMANDS)); do \
	  bin/cyclonedx-gomod bin -json -std -noserial -notimestamp -output bin/$$command.cdx.json bin/$$command || exit 1; \
	done

# In a folder with a remote, which it wants to know, so that a copy without one can be checked as well.
.PHONY: check-release
check-release: bin/goreleaser ## Check the configuration of releases (GoReleaser)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && cp .goreleaser.yaml "$$folder" && cd "$$folder" && \
	  git init --quiet && git remote add origin https://github.com/you/waybill.git && "$(CURDIR)/bin/goreleaser" check --quiet

# The second copy lies elsewhere and has a cache of its own, so that everything is compiled again.
check-reproducible: ## Compile the commands of HEAD twice, in two folders, and compare them (minutes)
	@folder=$$(mktemp -d) && trap 'chmod -R u+w "$$folder"; rm -rf "$$folder"' EXIT && mkdir "$$folder/one" "$$folder/another" && \
	  git archive HEAD | tar -x -C "$$folder/one" && git archive HEAD | tar -x -C "$$folder/another" && \
	  go build -C "$$folder/one" -trimpath -buildvcs=false -ldflags=-s -o "$$folder/built/" $(COMMANDS) && \
	  GOCACHE="$$folder/cache" go build -C "$$folder/another" -trimpath -buildvcs=false -ldflags=-s -o "$$folder/again/" $(COMMANDS) && \
	  cd "$$folder/built" && sha256sum * >"$$folder/sums" && cd "$$folder/again" && sha256sum --check "$$folder/sums"

##@ Prove it

# CI runs as many seeds as fit into a minute: make simulate SEEDS=1000000 FOR=1m
.PHONY: simulate
simulate: ## Run sagas through every fault, and check every promise: SEEDS=10000
	go run ./drills/simulate --seeds $(or $(SEEDS),1000) --for $(or $(FOR),0s)

# API_FUZZ_SECONDS is for each service, without and with a token. Schemathesis comes from PyPI.
.PHONY: api-fuzz
api-fuzz: ## Send generated requests to every operation of every service
	.ci/api-fuzz

# Each target runs its seeds and its corpus in `make test`.
.PHONY: fuzz
fuzz: ## Fuzz every decoder for a while: FOR=30s
	.ci/fuzz $(or $(FOR),30s)

.PHONY: ci
ci: lint build sbom check-release test vuln demo ## What CI runs
	$(MAKE) simulate SEEDS=1000000 FOR=1m
	$(MAKE) api-fuzz
	$(MAKE) drills-short
