#!/usr/bin/env bash
# Proves the kernels: every operation and variant of device simt under the forward, the reverse and 20 random orders
# of threads, in the optimised build, under AddressSanitizer and UndefinedBehaviorSanitizer, and under the race
# detector. Everyday runs (tools/test.sh) shuffle less.
#
#   tools/proof.sh               all three presets: release, simt-asan, simt-race
#   tools/proof.sh PRESET...     these
#
# GAN_TEST_SEEDS=N takes N random orders instead. Builds first what is not built; the time at the end is without that.
# Ends with "proof: N passed, N failed, N skipped" (an operation in a build counts as one); exit code 0 only when all
# of it passed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

case ${1:-} in
  -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' tools/proof.sh; exit 0 ;;
  -*) echo "proof.sh: unknown option $1" >&2; exit 2 ;;
esac
presets=("$@")
(($#)) || presets=(release simt-asan simt-race)
shards=12  # of each preset: many, so that no core is idle for long at the end
export GAN_TEST_SEEDS=${GAN_TEST_SEEDS:-20} GAN_SIMT=threads=1 UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

tools/setup.sh || exit
for preset in "${presets[@]}"; do
  { cmake --preset "$preset" >/dev/null && cmake --build --preset "$preset" --target gan_tests; } || exit
done

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
start=$SECONDS failures=0
one_shard() {  # PRESET SHARD
  local code=0 start=$EPOCHREALTIME
  GAN_TEST_SHARD=$2 "build/$1/bin/gan_tests" -tc="kernels on simt" >"$logs/$1.${2%/*}" 2>&1 || code=$?
  echo $(((${EPOCHREALTIME/./} - ${start/./}) / 1000)) >"$logs/$1.${2%/*}.ms"
  return $code
}
# Side by side as different as can be: two of the race build would want the same caches. The slowest come first.
for ((shard = 1; shard <= shards; ++shard)); do
  for ((i = ${#presets[@]} - 1; i >= 0; --i)); do
    while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n || failures=$((failures + 1)); done
    one_shard "${presets[i]}" "$shard/$shards" &
  done
done
while (($(jobs -p | wc -l))); do wait -n || failures=$((failures + 1)); jobs >/dev/null; done

passed=0 failed=0 skipped=0
for preset in "${presets[@]}"; do
  ms=$(cat "$logs/$preset".*.ms | paste -sd+)
  echo "proof: $preset: $(((ms) / 1000)) s of one core"
  for ((shard = 1; shard <= shards; ++shard)); do
    log=$logs/$preset.$shard
    if read -r _ _ p _ _ _ f _ s _ < <(grep '^gan tests: ' "$log" | tr -d ,) && [[ -n ${s:-} ]]; then
      passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
      ((f == 0)) || cat "$log"
    else
      echo "FAILED: $preset, shard $shard of $shards: it did not get to its end"
      cat "$log"
      failed=$((failed + 1))
    fi
  done
done
echo "proof: $GAN_TEST_SEEDS random orders beside forward and reverse; $((SECONDS - start)) s on $(nproc) cores"
echo "proof: $passed passed, $failed failed, $skipped skipped"
((failed == 0 && failures == 0 && passed > 0))
