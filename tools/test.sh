#!/usr/bin/env bash
# Sets up, configures, builds and runs the whole test suite; what is done already is not done again.
#
#   tools/test.sh            the optimised build (preset release)
#   tools/test.sh PRESET     another preset of CMakePresets.json, for example simt-asan
#
# Ends with the totals, "PRESET: N passed, N failed, N skipped", counting test cases. Exit code 0 only when all of
# it worked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
  -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' tools/test.sh; exit 0 ;;
  -*) echo "test.sh: unknown option $1" >&2; exit 2 ;;
esac
preset=${1:-release}
build=build/$preset

stage() {  # NAME COMMAND...: runs it and says how long it took
  local name=$1 start=$SECONDS code=0
  shift
  "$@" || code=$?
  echo "stage: $preset $name took $((SECONDS - start)) s"
  return $code
}

stage setup tools/setup.sh
stage configure cmake --preset "$preset"
stage build cmake --build --preset "$preset"

export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
code=0
rm -f "$build/Testing/Temporary/LastTest.log"
stage tests ctest --test-dir "$build" -j "$(nproc)" --output-on-failure </dev/null || code=$?

# A program of doctest cases ends with its own counts; every other entry of ctest counts as one. ctest's log holds
# the output of all of them.
totals=$(awk '
  /^[0-9]+\/[0-9]+ Testing: / { name = $3; counted = 0; ++entries }
  /^gan tests: / {
    for (i = 3; i <= NF; ++i) {
      if ($(i) ~ /^passed/) passed += $(i - 3)
      if ($(i) ~ /^failed/) { failed += $(i - 1); bad = $(i - 1) }
      if ($(i) ~ /^skipped/) skipped += $(i - 1)
    }
    counted = 1
  }
  /^Test (Passed|Failed)\.$/ {
    if (!counted) { if ($2 == "Passed.") ++passed; else ++failed }
    else if ($2 == "Failed." && bad == 0) ++failed  # it ended badly after its last case
    counted = 1; ++ended; bad = 0
  }
  END {
    failed += entries - ended  # killed for time
    printf "%d passed, %d failed, %d skipped", passed, failed, skipped
  }' "$build/Testing/Temporary/LastTest.log")
echo "$preset: $totals"
exit $code
