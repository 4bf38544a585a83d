# What CI runs, and what a release is: reproducible, equal sources and Go give equal bytes.
.PHONY: build check docs fuzz pictures release reproduce

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

# Pictures of the page of a testnet that runs in dist/pictures, for docs/dashboard.png and docs/dashboard-phone.png.
pictures: build
	./mlecs testnet up --rounds 8 --out dist/pictures/testnet
	MLECS_SCREENSHOTS=$(CURDIR)/dist/pictures go test ./testnet -count=1 -run TestPictures -pictures $(CURDIR)/dist/pictures/testnet; \
	  status=$$?; ./mlecs testnet down --out dist/pictures/testnet; exit $$status

# Archives for linux in dist/, with their checksums; darwin and windows are built to see that they can be.
release:
	rm -rf dist
	bash deploy/release.sh dist
	for target in darwin/arm64 windows/amd64; do \
	  CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go build -trimpath -o /dev/null ./cmd/mlecs || exit 1; \
	done

# The same release from two places.
reproduce:
	bash .ci/reproduce
