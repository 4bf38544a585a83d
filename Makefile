# What CI runs, and what a release is. Binaries are reproducible: equal sources and Go give equal bytes.
.PHONY: build check docs fuzz release

build:
	CGO_ENABLED=0 go build -trimpath -o mlecs ./cmd/mlecs

check:
	bash .ci/run

# Every fuzz target for FUZZTIME (default 10m).
fuzz:
	bash .ci/fuzz

docs:
	go run ./cmd/mlecs reference > docs/cli.md.new && mv docs/cli.md.new docs/cli.md
	go run ./cmd/mlecs reference --config > docs/config.md.new && mv docs/config.md.new docs/config.md
	go test . -run TestArchitecturePicture -write

# Binaries and man pages in dist/, with their checksums; darwin and windows are built to see that they can be.
release:
	rm -rf dist && mkdir -p dist/man
	for target in linux/amd64 linux/arm64 darwin/arm64 windows/amd64; do \
	  echo "$$target"; \
	  CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go build -trimpath -ldflags='-s -w -buildid=' -o "dist/mlecs-$${target%/*}-$${target#*/}" ./cmd/mlecs || exit 1; \
	done
	go run ./cmd/mlecs reference --man dist/man
	cd dist && sha256sum mlecs-linux-* > SHA256SUMS
