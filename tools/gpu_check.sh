#!/usr/bin/env bash
# Proves and measures this project on a GPU, in one call and within a budget of minutes. It needs a driver; cuBLAS,
# cuDNN and compute-sanitizer are used where the machine has them.
#
#   gpu_check.sh                       in an unpacked bundle (tools/gpu_bundle.sh), 10 minutes
#   gpu_check.sh --part 1              proof and training steps, in 5 minutes
#   gpu_check.sh --part 2              then the rungs and NVIDIA's sanitizers, in 5 minutes
#   gpu_check.sh --minutes 25 --out DIR
#   gpu_check.sh --only rungs,steps    some stages (names: --list)
#   gpu_check.sh --dry-run             rehearses all of it without a GPU, on device simt with tiny sizes
#   tools/gpu_check.sh --bin build/release/bin     the programs of a build instead of a bundle's
#
# Stages run in order of worth. Each has a share of the budget; what it does not use is left to those after it. One
# that no longer fits is skipped and says so. Results: DIR/summary.txt, summary.json (both written after every stage),
# log.txt, rungs.json, steps.jsonl, metrics.jsonl, faces.png (DIR: --out, else $OUT, else gpu-results; of a part:
# DIR/part-1, DIR/part-2).
# Exit code 0 only when nothing failed; 4 when no GPU answers.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

stages=(machine wrappers kernels steps replays training resume memcheck rungs racecheck)
parts=('' machine,wrappers,kernels,steps,replays,training,resume machine,rungs,memcheck,racecheck)
minutes= out=${OUT:-gpu-results} bin=$here/bin device=cuda only= part=
usage() { echo "gpu_check.sh: $1" >&2; exit 2; }
while (($#)); do
  case $1 in
    --minutes | --out | --bin | --only | --part)
      (($# >= 2)) || usage "$1 wants a value"
      case $1 in
        --minutes) minutes=$2 ;;
        --out) out=$2 ;;
        --bin) bin=$2 ;;
        --only) only=$2 ;;
        --part) part=$2 ;;
      esac
      shift ;;
    --dry-run) device=simt ;;
    --list) printf '%s\n' "${stages[@]}"; exit 0 ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) usage "unknown option $1 (known: --minutes --out --bin --only --part --list --dry-run)" ;;
  esac
  shift
done
if [[ -n $part ]]; then
  [[ $part == [12] ]] || usage "--part $part: there are 1 and 2"
  [[ -z $only ]] || usage "--part $part chooses the stages: leave out --only"
  only=${parts[part]} out=$out/part-$part
fi
minutes=${minutes:-$([[ -n $part ]] && echo 4.8 || echo 10)}  # of 5, so that the summary is out in time
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage "--minutes $minutes is no number"
budget=$(awk -v m="$minutes" 'BEGIN {printf "%d", m * 60}')
((budget >= 1)) || usage "--minutes $minutes is no time at all"
for name in ${only//,/ }; do
  [[ " ${stages[*]} " == *" $name "* ]] || usage "--only $name: the stages are ${stages[*]}"
done

# ---- does this machine fit ---------------------------------------------------------------------------------------

[[ -x $bin/gan ]] || usage "$bin has no program gan; --bin names the folder that has it"
bin=$(cd "$bin" && pwd)
data=$here/data
[[ -d $data ]] || data=$here/../tests/data
export GAN_TEST_DATA=$data

bundle() { [[ -f $here/BUNDLE ]] && sed -n "s/^$1=//p" "$here/BUNDLE"; }
needs_machine=$(bundle machine) needs_glibc=$(bundle glibc)
if [[ -n $needs_machine && $needs_machine != "$(uname -m)" ]]; then
  usage "this bundle is for $needs_machine, this machine is $(uname -m); make one on such a machine"
fi
has_glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/^glibc //')
if [[ -n $needs_glibc && $(printf '%s\n' "$needs_glibc" "${has_glibc:-0}" | sort -V | head -n 1) != "$needs_glibc" ]]; then
  usage "this bundle needs glibc $needs_glibc, this machine has ${has_glibc:-none (another C library)}; make the bundle \
on a system at most as new as this one"
fi

# NVIDIA's libraries, where the loader would not find them: a toolkit's folder, or Python packages.
find_libraries() {
  local folders=() library folder file python
  python=$(command -v python3) &&
    while read -r folder; do folders+=("$folder"); done < <(
      timeout 20 "$python" -c 'import glob, sys
for path in sys.path: print("\n".join(glob.glob(path + "/nvidia/*/lib")))' 2>/dev/null | grep .)
  folders+=(/usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib /opt/*/lib/python3*/site-packages/nvidia/*/lib
            /opt/*/.venv/lib/python3*/site-packages/nvidia/*/lib /usr/local/lib/python3*/*-packages/nvidia/*/lib)
  for library in libcublas.so.13 libcublas.so.12 libcudnn.so.9 libnvrtc.so.13 libnvrtc.so.12; do
    ldconfig -p 2>/dev/null | grep -q "$library" && continue
    for folder in "${folders[@]}"; do
      [[ -e $folder/$library ]] || continue
      [[ :${LD_LIBRARY_PATH:-}: == *:$folder:* ]] || LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
      break
    done
  done
  export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}
}

sanitizer=
find_sanitizer() {
  local candidate
  for candidate in "$(command -v compute-sanitizer)" /usr/local/cuda*/bin/compute-sanitizer \
                   /usr/local/cuda*/compute-sanitizer/compute-sanitizer /opt/*/bin/compute-sanitizer; do
    [[ -n $candidate && -x $candidate ]] && { sanitizer=$candidate; return; }
  done
}

# ---- stages ------------------------------------------------------------------------------------------------------

# A stage is a function that returns 0 passed, 1 failed, 2 skipped, and leaves a line in `note`. Commands in it go
# through `try`, which ends them when the stage's time is over and returns 124.
note= stage_start=0 stage_end=0
left() { echo $((stage_end - SECONDS)); }
try() {
  local seconds
  seconds=$(left)
  ((seconds > 0)) || return 124
  echo "\$ $*" >&2
  timeout -k 5 "$seconds" "$@" </dev/null
}

# For a command that `try` ended: a minute must do for any of them, on a smaller budget it only found no time.
out_of_time() {  # WHAT
  note="$1 was stopped after $((SECONDS - stage_start)) s"
  ((SECONDS - stage_start >= 60)) && return 1
  return 2
}

stage_machine() {
  [[ -f $here/BUNDLE ]] && cat "$here/BUNDLE"
  echo "glibc ${has_glibc:-unknown}, LD_LIBRARY_PATH=$LD_LIBRARY_PATH, compute-sanitizer ${sanitizer:-not found}"
  if command -v nvidia-smi >/dev/null; then try nvidia-smi; fi
  try "$bin/gan" doctor >"$work/doctor"
  local code=$?
  cat "$work/doctor"
  note=$(sed -n 's/^gpu [0-9]* *//p' "$work/doctor" | head -n 1)
  if [[ $device == simt ]]; then note="dry run on device simt"; return 0; fi
  ((code == 0)) || { note="gan doctor names a problem: $(tail -n 1 "$work/doctor")"; return 1; }
}

stage_wrappers() {
  [[ -x $bin/wrapper_conformance || $device == cuda ]] || { note="a build without the cuda device has no such program"; return 2; }
  try "$bin/wrapper_conformance" | tee "$work/wrappers"
  local code=${PIPESTATUS[0]}
  note="$(grep -c agrees "$work/wrappers") wrappers agree with their emulation"
  if ((code == 77)); then
    note="no GPU"
    [[ $device == simt ]] && return 2
    return 1
  fi
  ((code == 0)) && return 0
  note="$note; differing: $(grep differ "$work/wrappers" | awk '{print $1}' | tr '\n' ' ')"
  return 1
}

operations() {  # of the device, in the order of the tables
  if [[ $device == simt ]]; then printf '%s\n' activation_fwd sum norm_infer; return; fi
  "$bin/gan" kernels --device "$device" --json | sed 's/.*"op":"\([^"]*\)".*/\1/' | awk '!seen[$0]++'
}

# The case table, a process for each operation: one that breaks the GPU's context leaves the others alone. Half of the
# processor's cores, 8 at most, each have one at work: the float64 reference takes most of the time.
# each_operation NAME COMMAND...: COMMAND before the test program.
each_operation() {
  local what=$1 operation code taken passed=0 failed=() missed=() all=() workers=$(($(nproc) / 2))
  shift
  ((workers < 1)) && workers=1
  ((workers > 8)) && workers=8
  mapfile -t all < <(operations)
  for operation in "${all[@]}"; do
    while (($(jobs -rp | wc -l) >= workers)); do wait -n; done
    {
      local begun=$SECONDS code=124
      if (($(left) >= 3)); then
        try "$@" "$bin/gan_tests" -tc="kernels on $device,kernels: what the devices ran" -sc="$operation"
        code=$?
      fi
      echo "$code $((SECONDS - begun))" >"$work/tests-$operation.code"
    } >"$work/tests-$operation" 2>&1 &
  done
  wait
  for operation in "${all[@]}"; do
    cat "$work/tests-$operation"
    read -r code taken <"$work/tests-$operation.code"
    if ((code == 124 || code == 137)); then
      if ((taken >= 60)); then failed+=("$operation (not done in $taken s)"); else missed+=("$operation"); fi
    elif ((code)) || ! grep -q '1 test cases passed, 0 failed, 0 skipped' "$work/tests-$operation"; then
      failed+=("$operation")
    else passed=$((passed + 1)); fi
  done
  note="$passed operations $what"
  ((${#missed[@]})) && note+="; no time for ${missed[*]}"
  ((${#failed[@]})) && note+="; FAILED: ${failed[*]}"
  ((${#failed[@]} == 0 && passed > 0))
}

stage_kernels() {
  local code=0
  each_operation "agree with the float64 reference" || code=1
  [[ $device == simt ]] && return $code
  try "$bin/gan_tests" -tc='bad arguments are refused on cuda,random numbers on cuda*,*: gradients*,a value used twice*'
  case $? in
    0) note+="; so do random bits, refusals and gradients of operations" ;;
    124) note+="; no time for random bits, refusals and gradients" ;;
    *) code=1 note+="; FAILED: random bits, refusals or gradients" ;;
  esac
  return $code
}

stage_replays() {
  local cases='replays on cuda*'
  [[ $device == simt ]] && cases='three steps of a replay on simt*'
  try "$bin/gan_tests" -tc="$cases" | tee "$work/tests"
  local code=${PIPESTATUS[0]}
  ((code == 124)) && { out_of_time "the replay"; return; }
  if ((code)) || ! grep -q '1 test cases passed, 0 failed, 0 skipped' "$work/tests"; then
    note=$(tail -n 1 "$work/tests")
    return 1
  fi
  note="losses and weights follow PyTorch's runs"
}

small=()  # a net of no size, for rehearsals
if [[ $device == simt ]]; then
  small=(--size 32 --ngf 2 --ndf 2 --batch 2)
  export GAN_TEST_SEEDS=1
fi

stage_training() {
  local steps=200 every=10
  [[ $device == simt ]] && steps=4 every=1
  try "$bin/gan" train dcgan builtin:comics --device $device ${small[@]+"${small[@]}"} --steps $steps --log-every $every \
      --out "$work/train"
  local code=$?
  cp "$work"/train/metrics.jsonl "$out/" 2>/dev/null
  cp "$work"/train/samples/*.png "$out/faces.png" 2>/dev/null
  ((code == 124)) && { out_of_time "training"; return; }
  ((code == 0)) || { note="exit code $code"; return 1; }
  # Speed without the first logged stretch, in which memory grows and kernels load.
  note=$(awk -F'[:,}]' '
    function value(key,  i) { for (i = 1; i < NF; ++i) if (index($i, "\"" key "\"")) return $(i + 1); return "?" }
    /"step"/ {
      ++lines
      for (i = 1; i < NF; ++i)
        if ($i ~ /"(loss|D_|grad)/ && $(i + 1) !~ /^ *-?[0-9.]+(e[-+]?[0-9]+)? *$/) bad = bad " " $i ":" $(i + 1)
      if (lines == 1) { images = value("images"); seconds = value("seconds") }
      step = value("step"); last_images = value("images"); last_seconds = value("seconds")
      d = value("loss_D"); g = value("loss_G")
    }
    END {
      if (bad != "") { print "not finite:" bad; exit }
      if (lines < 2 || last_seconds <= seconds) { print "no steps logged"; exit }
      printf "%d steps, %.0f images/s, loss D %.3f, loss G %.3f", step, (last_images - images) / (last_seconds - seconds), d, g
    }' "$work/train/metrics.jsonl")
  [[ $note == *images/s* ]]
}

stage_resume() {  # N steps, a stop and N more against 2N steps
  local half=20 run code
  [[ $device == simt ]] && half=1
  local train=("$bin/gan" train dcgan builtin:comics --device $device ${small[@]+"${small[@]}"} --sample-every 0)
  try "${train[@]}" --steps $((2 * half)) --out "$work/whole" &&
    try "${train[@]}" --steps $half --out "$work/halves" &&
    try "$bin/gan" train --resume "$work/halves" --steps $((2 * half))
  code=$?
  ((code == 124)) && { out_of_time "training"; return; }
  ((code == 0)) || { note="exit code $code"; return 1; }
  for run in whole halves; do
    cp "$work/$run/checkpoints/$(cat "$work/$run/checkpoints/latest")" "$work/$run.safetensors" || return 1
  done
  if ! cmp "$work/whole.safetensors" "$work/halves.safetensors"; then
    note="$((2 * half)) steps and $half + $half steps end in different bytes"
    return 1
  fi
  note="$half + $half steps end in the bytes of $((2 * half))"
}

sanitize() {  # TOOL
  [[ $device == simt ]] && { note="the rehearsal has no GPU for it; the emulation has its own (preset simt-race)"; return 2; }
  [[ -n $sanitizer ]] || { note="this machine has no compute-sanitizer"; return 2; }
  # Does it work here at all?
  try "$sanitizer" --tool "$1" "$bin/wrapper_conformance" >"$work/probe" 2>&1
  cat "$work/probe"
  if ! grep -q 'ERROR SUMMARY\|RACECHECK SUMMARY' "$work/probe" || grep -q 'Device not supported' "$work/probe"; then
    note="compute-sanitizer is refused here: $(grep -m 1 -i 'not supported\|error\|fail' "$work/probe")"
    return 2
  fi
  each_operation "without a report of $1" "$sanitizer" --tool "$1" --error-exitcode 86 --print-limit 20
}
stage_memcheck() { sanitize memcheck; }
stage_racecheck() { sanitize racecheck; }

stage_rungs() {
  local more=(--seconds $(($(left) - 10)))
  [[ $device == simt ]] && more+=(--sets dcgan:1,mlp:2 --shrink 32 --timeout 0.01)
  try "$bin/bench_rungs" --device $device "${more[@]}" --benchmark_out="$out/rungs.json" >"$work/rungs" 2>&1
  local code=$?
  cat "$work/rungs"
  grep '^picked\|^best rung\|^[0-9]* measured\|wrong or failed' "$work/rungs" >"$work/rungs-summary"
  note=$(grep '^[0-9]* measured' "$work/rungs")
  local without
  without=$(grep -m 1 'cudnn.*skipped:' "$work/rungs") && note+="; no cuDNN: ${without#*skipped: }"
  ((code == 124)) && { note="stopped by the clock; rungs.json has $(grep -c '"real_time"' "$out/rungs.json") rows"; return 0; }
  ((code == 0)) || { note+="; exit code $code; $(grep -c 'WRONG' "$work/rungs") rows are wrong"; return 1; }
}

# Every precision of the two models, as a run takes its steps: from a recording; in bfloat16 also as it is written.
stage_steps() {
  local model precision recorded batches code=0 seconds=2
  : >"$out/steps.jsonl"
  for precision in bf16 tf32 fp32; do
    for model in dcgan pix2pix; do
      for recorded in on off; do
        [[ $recorded == off && $precision != bf16 ]] && continue
        local more=(--size 64 --ngf 64 --ndf 64 --batch 16,128)
        [[ $model == pix2pix ]] && more=(--size 256 --ngf 64 --ndf 64 --batch 1,16)
        if [[ $device == simt ]]; then
          [[ $model == dcgan ]] || continue
          more=(--size 32 --ngf 2 --ndf 2 --batch 2) seconds=0.1
        fi
        try "$bin/bench_step" --model $model --device $device --precision $precision --recorded $recorded "${more[@]}" \
            --seconds $seconds --json >>"$out/steps.jsonl" || { code=$?; break 3; }
      done
    done
  done
  cat "$out/steps.jsonl"
  note=$(sed -n 's/.*"batch":\([0-9]*\).*"images_per_s":\([0-9.]*\).*"median_s":\([0-9.e-]*\).*"model":"\([a-z0-9]*\)".*"precision":"\([a-z0-9]*\)".*"recorded":\([a-z]*\).*/\4 \1 \5 \6 \3 \2/p' \
           "$out/steps.jsonl" |
           awk '{printf "%s%s batch %d %s%s: %.3f ms, %.0f images/s", sep, $1, $2, $3, $4 == "true" ? "" : " not recorded", $5 * 1000, $6
                 sep = "; "}')
  ((code == 124)) && { note="no time for all: $note"; [[ -s $out/steps.jsonl ]]; return; }
  ((code == 0)) || { note="exit code $code"; return 1; }
  [[ -n $note ]]
}

# ---- run them ----------------------------------------------------------------------------------------------------

names=() results=() seconds=() notes=()
passed=0 failed=0 skipped=0

record() {  # NAME RESULT SECONDS NOTE
  names+=("$1") results+=("$2") seconds+=("$3") notes+=("$4")
  printf '%-10s %-8s %5d s  %s\n' "$1" "$2" "$3" "$4"
  write_summary
}

# NAME SHARE LEAST: the share of the budget in percent, and the seconds below which it is not worth starting.
stage() {
  local name=$1 share=$2 least=$3 start=$SECONDS code remaining=$((budget - SECONDS)) line
  [[ -z $only || ,$only, == *,$name,* ]] || return 0
  [[ $device == simt ]] && least=1
  note=
  if ((remaining < least)); then
    skipped=$((skipped + 1))
    record "$name" skipped 0 "$remaining s are left of $budget; it wants $least"
    return 0
  fi
  local limit=$((budget * share / 100))
  ((limit < least)) && limit=$least
  ((limit > remaining)) && limit=$remaining
  stage_start=$SECONDS stage_end=$((SECONDS + limit))
  echo "=== $name (at most $limit s)" >>"$log"
  line=$(wc -l <"$log")
  "stage_$name" >>"$log" 2>&1
  code=$?
  note=$(tr -d '\000-\037' <<<"$note" | cut -c 1-1000)
  case $code in
    0) passed=$((passed + 1)); record "$name" passed $((SECONDS - start)) "$note" ;;
    2) skipped=$((skipped + 1)); record "$name" skipped $((SECONDS - start)) "$note" ;;
    *)
      failed=$((failed + 1)); record "$name" FAILED $((SECONDS - start)) "$note"
      tail -n +$((line + 1)) "$log" | tail -n 25 | sed 's/^/    | /' ;;
  esac
}

write_summary() {
  {
    printf '%-10s %-8s %7s  %s\n' stage result seconds note
    for i in "${!names[@]}"; do printf '%-10s %-8s %7d  %s\n' "${names[i]}" "${results[i]}" "${seconds[i]}" "${notes[i]}"; done
    if [[ -s $work/rungs-summary ]]; then echo; cat "$work/rungs-summary"; fi
    echo
    echo "$passed passed, $failed failed, $skipped skipped, $SECONDS s of $budget s on device $device"
  } >"$out/summary.txt"
  local quote='s/\\/\\\\/g;s/"/\\"/g'
  {
    printf '{"schema": "gan-gpu-check/1", "device": "%s", "commit": "%s", "budget_s": %d, "seconds": %d,\n' \
      "$device" "$(bundle commit)" "$budget" "$SECONDS"
    printf ' "passed": %d, "failed": %d, "skipped": %d, "stages": [' "$passed" "$failed" "$skipped"
    for i in "${!names[@]}"; do
      ((i)) && printf ','
      printf '\n  {"stage": "%s", "result": "%s", "seconds": %d, "note": "%s"}' "${names[i]}" "${results[i]}" \
        "${seconds[i]}" "$(sed "$quote" <<<"${notes[i]}")"
    done
    printf '\n]}\n'
  } >"$out/summary.json"
}

find_libraries
find_sanitizer
if [[ $device == cuda ]]; then  # asked of the program itself: choosing the device is all it does here
  problem=$(timeout 60 "$bin/gan" kernels --device cuda 2>&1 >/dev/null)
  code=$?
  if ((code)); then
    echo "gpu_check.sh: $problem" >&2
    echo "gpu_check.sh: nothing was run; --dry-run rehearses without a GPU" >&2
    exit $((code == 4 ? 4 : 1))
  fi
fi

mkdir -p "$out" || exit 7
out=$(cd "$out" && pwd)
work=$(mktemp -d) || exit 7
trap 'rm -rf "$work"' EXIT
log=$out/log.txt
: >"$log"

#     name      share least
stage machine       5     2
stage wrappers      5     5
stage kernels      40    20
stage steps        25    20
stage replays      10    10
stage training     10    15
stage resume       10    15
if [[ $part == 2 ]]; then  # what is slow, while it is worth most
  stage rungs      60    30
  stage memcheck   60    30
else
  stage memcheck   20    30
  stage rungs      70    30
fi
stage racecheck   100    30

echo
tail -n 1 "$out/summary.txt"
if [[ -s $work/rungs-summary ]]; then cat "$work/rungs-summary"; fi
echo "results: $out"
((failed == 0))
