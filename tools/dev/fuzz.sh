#!/usr/bin/env bash
# Runs each fuzz target for SECONDS (default 60), or the ones named. ./dev fuzz [SECONDS] [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
cmake --preset fuzz >/dev/null
ninja -C build/fuzz "$@"
mapfile -t targets < <(find build/fuzz -name 'fuzz_*' -type f -executable | sort)
for target in "${targets[@]}"; do
  name=$(basename "$target")
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  printf '==> %s for %s s\n' "$name" "$seconds"
  mkdir -p "build/fuzz/corpus/$name"
  # What it finds is kept in the first; well-formed examples to start from are in the second.
  folders=("build/fuzz/corpus/$name")
  [ ! -d "tests/fuzz/seeds/$name" ] || folders+=("tests/fuzz/seeds/$name")
  "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build/fuzz/$name-" "${folders[@]}"
done
