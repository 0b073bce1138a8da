#!/usr/bin/env bash
# Downloads the Go modules whose .proto and Go files the schema is generated from, and links them as an include folder.
#   fetch-modules.sh DEST     makes DEST/k8s.io/{api,apimachinery,...} links into Go's module cache
# Works with any Go from 1.19 on: nothing is compiled. The versions are Kubernetes 1.35's.
set -euo pipefail
dest=$1
version=v0.35.4
modules=(api apimachinery apiextensions-apiserver kube-aggregator cri-api)
mkdir -p "$dest/k8s.io"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
printf 'module fetch\n\ngo 1.19\n' >go.mod
for module in "${modules[@]}"; do
  for try in 1 2 3; do
    dir=$(GOFLAGS="${GOFLAGS:-} -mod=mod" GOTOOLCHAIN=local go mod download -json "k8s.io/$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p') && [ -n "$dir" ] && break
    [ "$try" = 3 ] && { echo "fetch-modules: k8s.io/$module@$version can't be downloaded by 'go mod download'" >&2; exit 1; }
    sleep "$try"
  done
  ln -sfn "$dir" "$dest/k8s.io/$module"
done
