#!/usr/bin/env bash
# Makes a release of the commit that is checked out: deploy/release.sh FOLDER [PLATFORM...]. For linux/amd64 and linux/arm64, or the platforms
# given, FOLDER gets an archive with the binary, man pages, completions and deploy/, and the checksums of all.
#
# Equal sources and an equal Go give equal bytes, wherever and whenever it runs: no paths, no times but the commit's, no order of files, and
# nothing of the machine's settings. Without a repository, as from an archive of the sources, COMMIT and SOURCE_DATE_EPOCH say what git would.
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."

if [ -z "${COMMIT:-}" ]; then
  COMMIT=$(git rev-parse HEAD)
  git diff --quiet HEAD -- || COMMIT+=-dirty
fi
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
export LC_ALL=C TZ=UTC CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT='' GOFLAGS=-mod=readonly
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # FILE
  go build -trimpath -buildvcs=false -ldflags="-s -w -buildid= -X main.builtFrom=$COMMIT" -o "$1" ./cmd/mlecs
}

build "$work/mlecs"
version=$("$work/mlecs" version --json | sed -n 's/.*"version": "\(.*\)".*/\1/p')
mkdir -p "$work/man" "$work/completions"
"$work/mlecs" reference --man "$work/man"
for shell in bash zsh fish; do "$work/mlecs" completion "$shell" > "$work/completions/mlecs.$shell"; done

for platform in "${@:-linux/amd64 linux/arm64}"; do
  for target in $platform; do
    name="mlecs-$version-${target/\//-}"
    mkdir "$work/$name"
    cp -R "$work/man" "$work/completions" deploy LICENSE README.md CHANGELOG.md "$work/$name/"
    GOOS=${target%/*} GOARCH=${target#*/} build "$work/$name/mlecs"
    chmod -R u=rwX,go=rX "$work/$name" # whatever the sources' owner allows
    tar -C "$work" --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - "$name" | gzip -9n > "$out/$name.tar.gz"
  done
done
(cd "$out" && sha256sum mlecs-*.tar.gz > SHA256SUMS && cat SHA256SUMS)
