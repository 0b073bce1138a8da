# shellcheck shell=bash
# All tests, and the closing line "N passed, N failed". Sourced by ./dev.
: "${root:?is the checkout, which ./dev sets}"

passed=0
failed=0
failures=()

# count PASSED FAILED NAME
count() {
  passed=$((passed + $1))
  failed=$((failed + $2))
  [ "$2" = 0 ] || failures+=("$3")
}

# Runs every unit-test program of a preset's build folder.
unit_tests() {
  local preset=$1 program report
  mkdir -p "$root/build/reports"
  while read -r program; do
    report=$root/build/reports/$preset-$(basename "$program").xml
    rm -f "$report"
    step "$preset: $(basename "$program")"
    if timeout 600 "$program" --gtest_brief=1 --gtest_output="xml:$report"; then :; else
      [ -f "$report" ] || count 0 1 "$preset $(basename "$program"): crashed or hung"
    fi
    if [ -f "$report" ]; then
      local total bad
      total=$(sed -n 's/.*<testsuites tests="\([0-9]*\)".*/\1/p' "$report")
      bad=$(sed -n 's/.*<testsuites [^>]*failures="\([0-9]*\)".*/\1/p' "$report")
      count $((total - bad)) "$bad" "$preset $(basename "$program")"
    fi
  done < <(find "build/$preset" -name '*_test' -type f -executable | sort)
}

# Where threads meet: loops, connections, the committer and its readers, tunnels. The rest runs on one loop.
threaded_tests=(base_test net_test store_test client_test egress_test)

# Python tests that drive a real cluster of their own.
python_tests() {
  local folder=$1 report=$root/build/reports/$2.xml
  rm -f "$report"
  step "$2"
  /usr/bin/python3 -m pytest -q --maxfail=20 --junitxml="$report" "$folder" || [ -f "$report" ] || count 0 1 "$2: did not run"
  if [ -f "$report" ]; then
    local total bad skipped
    total=$(sed -n 's/.*<testsuite [^>]*tests="\([0-9]*\)".*/\1/p' "$report")
    skipped=$(sed -n 's/.*<testsuite [^>]*skipped="\([0-9]*\)".*/\1/p' "$report")
    bad=$(sed -n 's/.*<testsuite [^>]*errors="\([0-9]*\)" failures="\([0-9]*\)".*/\1+\2/p' "$report")
    # A test that did not run has shown nothing.
    [ "${skipped:-0}" = 0 ] || step "$2: $skipped tests were skipped, which counts as failing"
    count $((total - (bad) - ${skipped:-0})) $((bad + ${skipped:-0})) "$2"
  fi
}

run_tests() {
  local suites=("$@")
  [ ${#suites[@]} -gt 0 ] || suites=(unit asan tsan e2e interop testbed)
  install_packages
  local suite
  for suite in "${suites[@]}"; do
    case $suite in
      # Each preset builds what only it can tell: all units fast, all units with ASan and UBSan, the threaded ones with TSan,
      # and what users run, which the end-to-end tests drive.
      unit) build dev unit_tests; unit_tests dev ;;
      asan) build asan unit_tests; unit_tests asan ;;
      tsan) build tsan "${threaded_tests[@]}"; unit_tests tsan ;;
      e2e) build "$preset" redoubt; python_tests tests/e2e e2e ;;
      interop) build "$preset" redoubt; python_tests tests/interop interop ;;
      testbed) build "$preset" redoubt; python_tests tests/testbed testbed ;;
      *) die "unknown test suite '$suite' (unit, asan, tsan, e2e, interop, testbed)" ;;
    esac
  done
  local name
  for name in "${failures[@]+"${failures[@]}"}"; do echo "failed: $name"; done
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
