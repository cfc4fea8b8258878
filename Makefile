# make demo: the main job, in seconds.   make test: all tests, installing what they need.

GO      ?= go
BIN     := bin/lanyard
# Tools and clients that the tests install live here, outside the tree.
CACHE   ?= $(if $(LANYARD_CACHE),$(LANYARD_CACHE),$(HOME)/.cache/lanyard)

# For the tests that need a real API server; without it they say that they are skipped.
KUBERNETES = LANYARD_KUBERNETES=$$(LANYARD_CACHE='$(CACHE)' test/cluster/build api)

PLATFORMS ?= linux/amd64,linux/arm64
REGISTRY  ?= localhost
TAG       ?= dev

.PHONY: help build images chart demo test terraform arm64 cluster cluster-test faults check vulnerable race bench bench-scale fuzz clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/lanyard
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/lanyard

images: ## Write OCI archives of the images to bin/images (PLATFORMS, REGISTRY, TAG)
	@$(GO) run ./deploy/images -out bin/images -platforms '$(PLATFORMS)' -registry '$(REGISTRY)' -tag '$(TAG)'

demo: build ## Show the whole chain: a workload gets its secret with no stored secret
	@$(BIN) demo

test: build ## Run every test, real clients included; installs what they need
	@$(KUBERNETES) $(GO) test ./...
	@LANYARD_CACHE='$(CACHE)' test/clients/run
	@LANYARD_CACHE='$(CACHE)' test/clients/az/run
	@LANYARD_CACHE='$(CACHE)' test/clients/terraform/run
	@LANYARD_CACHE='$(CACHE)' test/cluster/run
	@LANYARD_CACHE='$(CACHE)' test/chart/run
	@LANYARD_CACHE='$(CACHE)' test/s3/run
	@test/faults/run -short

terraform: build ## Run Terraform's azurerm provider against the built program; waits some minutes
	@LANYARD_CACHE='$(CACHE)' test/clients/terraform/run -v

arm64: ## The SDKs against the program for arm64, emulated (wants qemu-user-static)
	@LANYARD_CACHE='$(CACHE)' test/clients/arm64

chart: ## Judge the Helm charts with Helm: lint, and what their templates make
	@LANYARD_CACHE='$(CACHE)' test/chart/run

cluster: ## Start a Kubernetes node without Docker (CLUSTER=node|api, DIR), and say how to use and stop it
	@LANYARD_CACHE='$(CACHE)' test/cluster/up $(or $(CLUSTER),node) $(or $(DIR),/tmp/lanyard-cluster)

cluster-test: build ## The tests on that Kubernetes only; shows what they do, and the pod's log
	@LANYARD_CACHE='$(CACHE)' test/cluster/run -v

faults: build ## Break servers and etcd on purpose, under load; prints a table; some 40 minutes, root for all of it
	@test/faults/run

check: ## Formatting, tidy modules, vet and static analysis
	@test -z "$$(gofmt -s -l .)" || { echo 'not as gofmt -s has it:'; gofmt -s -l .; exit 1; }
	$(GO) mod tidy -diff
	cd test/clients && $(GO) mod tidy -diff
	cd test/clients/azwi && $(GO) mod tidy -diff
	cd test/cluster && $(GO) mod tidy -diff
	cd test/faults && $(GO) mod tidy -diff
	$(GO) vet ./...
	cd test/clients && $(GO) vet ./...
	cd test/clients/azwi && $(GO) vet ./...
	cd test/cluster && $(GO) vet ./...
	cd test/faults && $(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

vulnerable: ## Known faults in what we depend on; asks the public database of Go
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

race: ## The tests under the race detector
	@$(KUBERNETES) $(GO) test -race ./...

bench: build ## Measure against the bounds; prints a table
	@$(KUBERNETES) $(GO) run ./test/bench

bench-scale: build ## Measure a store with 100,000 identities of 20 credentials each; wants 16 GB
	$(GO) run ./test/bench -only none -identities 100000

fuzz: ## Fuzz every parser for a short while (FUZZTIME=10s each)
	@test/fuzz $(or $(FUZZTIME),10s)

clean: ## Remove what was built
	rm -rf bin
