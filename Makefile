# What CI calls, by name. `make test` is `go test ./...`.

FUZZTIME ?= 5s
STATICCHECK ?= staticcheck

.PHONY: all build test race fuzz lint lab clean

all: build test

build:
	CGO_ENABLED=0 go build -trimpath -o culvert ./cmd/culvert

test:
	go test ./...

race:
	go test -race ./...

# Every fuzz target of every package, one after the other.
fuzz:
	@set -e; for pkg in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	$(STATICCHECK) ./...
	go test ./internal/fence

# Real clients on a real kernel; needs root on Debian 12.
lab:
	testdata/lab/build
	go test -v -timeout 20m ./testdata/lab

clean:
	rm -f culvert
