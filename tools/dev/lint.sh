#!/usr/bin/env bash
# Formatting, static checks, spelling, shell scripts. ./dev lint
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
status=0
check() {
  printf '==> %s\n' "$1"
  shift
  "$@" || status=1
}
mapfile -t sources < <(git ls-files 'src/**/*.cc' 'src/**/*.h' 'tests/**/*.cc' 'tests/**/*.h')
mapfile -t scripts < <(git ls-files dev .ci/run 'tools/**/*.sh' 'tests/**/*.sh')
check clang-format clang-format-19 --dry-run -Werror "${sources[@]}"
check shellcheck shellcheck -x "${scripts[@]}"
# The catalogue of paths is in German too.
check codespell codespell -q 3 -L ser,te,crate,ans,inout,kno,keypair,unparseable,conection,iif \
  --skip docs/paths.de.md,src/paths/explain.cc,src/paths/to_control_plane.cc,src/paths/to_cluster.cc,src/paths/tunnels.cc README.md docs src tests tools
cmake --preset dev >/dev/null && ninja -C build/dev >/dev/null
mapfile -t units < <(git ls-files 'src/**/*.cc')
check clang-tidy run-clang-tidy-19 -quiet -p build/dev -j "$(nproc)" "${units[@]}"
exit $status
