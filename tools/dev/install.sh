# shellcheck shell=bash
# What a bare Debian 12 needs to build, run and test. Sourced by ./dev.
: "${root:?is the checkout, which ./dev sets}"

# Compiler, build tools and libraries.
build_packages=(clang-19 clang-format-19 clang-tidy-19 libclang-rt-19-dev ccache mold ninja-build cmake pkg-config git ca-certificates
  libboost1.81-dev libssl-dev libnghttp2-dev protobuf-compiler libprotobuf-dev libsqlite3-dev libsimdjson-dev libssh-dev
  libnftables-dev libldns-dev libsodium-dev libnetfilter-conntrack-dev libre2-dev libyaml-cpp-dev libfmt-dev libspdlog-dev libcli11-dev libgtest-dev libgmock-dev
  libbenchmark-dev libzstd-dev zlib1g-dev golang-go python3 python3-protobuf)
# What a node runs pods with, and what the tests drive it with.
run_packages=(containerd runc containernetworking-plugins nftables wireguard-go wireguard-tools iproute2 procps util-linux openssl)
test_packages=(busybox-static gcc libc6-dev python3-pytest python3-yaml python3-cryptography python3-kubernetes curl jq nghttp2 codespell shellcheck openssh-server chromium
  python3-websocket python3-grpcio)

install_packages() {
  [ "$(id -u)" = 0 ] || die "run as root: Redoubt starts containers and network namespaces"
  local missing=() package
  for package in "${build_packages[@]}" "${run_packages[@]}" "${test_packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  # A user's own kubectl comes first; Debian's is old but speaks to any server.
  command -v kubectl >/dev/null || missing+=(kubernetes-client)
  if [ ${#missing[@]} -gt 0 ]; then
    step "installing ${#missing[@]} packages: ${missing[*]}"
    mkdir -p "$root/.dev"
    local log=$root/.dev/install.log
    # The package's own containerd service is not ours to start.
    local no_services=()
    if [ ! -e /usr/sbin/policy-rc.d ]; then
      printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
      chmod +x /usr/sbin/policy-rc.d
      no_services=(rm -f /usr/sbin/policy-rc.d)
    fi
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || {
      "${no_services[@]:-true}"
      tail -5 "$log" >&2
      die "installing packages failed; the whole log is $log"
    }
    "${no_services[@]:-true}"
  fi
}
