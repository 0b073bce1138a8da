# shellcheck shell=bash
# All tests, and the closing line "N passed, N failed". Sourced by ./dev.

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

sanitized_units() {
  build "$1" unit_tests
  unit_tests "$1"
}

# Python tests that drive a real cluster of their own.
python_tests() {
  local folder=$1 report=$root/build/reports/$2.xml
  rm -f "$report"
  step "$2"
  /usr/bin/python3 -m pytest -q -x --maxfail=20 --junitxml="$report" "$folder" || [ -f "$report" ] || count 0 1 "$2: did not run"
  if [ -f "$report" ]; then
    local total bad
    total=$(sed -n 's/.*<testsuite [^>]*tests="\([0-9]*\)".*/\1/p' "$report")
    bad=$(sed -n 's/.*<testsuite [^>]*errors="\([0-9]*\)" failures="\([0-9]*\)".*/\1+\2/p' "$report")
    count $((total - (bad))) $((bad)) "$2"
  fi
}

run_tests() {
  local suites=("$@")
  [ ${#suites[@]} -gt 0 ] || suites=(unit asan tsan e2e interop)
  install_packages
  local suite
  for suite in "${suites[@]}"; do
    case $suite in
      unit) build release; unit_tests release ;;
      asan|tsan) sanitized_units "$suite" ;;
      e2e) build "$preset" redoubt; python_tests tests/e2e e2e ;;
      interop) build "$preset" redoubt; python_tests tests/interop interop ;;
      *) die "unknown test suite '$suite' (unit, asan, tsan, e2e, interop)" ;;
    esac
  done
  local name
  for name in "${failures[@]+"${failures[@]}"}"; do echo "failed: $name"; done
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
