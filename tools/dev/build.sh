# shellcheck shell=bash
# Building with CMake, Ninja and ccache. Sourced by ./dev.
: "${root:?is the checkout, which ./dev sets}"

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  # Shares compiled objects between build folders and checkouts (cmake/redoubt_library.cmake says how the precompiled header
  # takes part).
  # What a file includes is learned from the compiler itself: no preprocessing of its own before each compile.
  export CCACHE_DEPEND=1
  export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$root} CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1
  export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
  export NINJA_STATUS="[%f/%t %es] "
  mkdir -p "$root/build"
  if [ ! -f "build/$preset/build.ninja" ]; then
    step "configuring $preset"
    cmake --preset "$preset" >"$root/build/configure-$preset.log" 2>&1 || {
      tail -20 "$root/build/configure-$preset.log" >&2
      die "configuring failed; the whole log is build/configure-$preset.log"
    }
  fi
  step "building $preset${*:+ ($*)}"
  ninja -C "build/$preset" "$@" || die "the build failed"
}
