#!/usr/bin/env bash
# The reverse tunnel's figures (tunnel.cc says what is measured), beside upstream's konnectivity as measured on a machine like this:
# 187 MB/s and 7.8 CPU-seconds per GB through server and agent.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
ninja -C build/release bench_tunnel >/dev/null
exec build/release/tests/bench/bench_tunnel "$@"
