#!/usr/bin/env bash
# Plants mistakes in copies of the kernels and sees whether the tests find them: tests/mutations/*.patch, one mistake
# each. What the heads of the patches say, and how to add one: tests/mutations/README.md.
#
#   tests/mutations/run.sh                   all of them, and whether every variant of device simt has three
#   tests/mutations/run.sh PATCH...          these alone, each in a copy of its own
#   tests/mutations/run.sh --preset cpu ...  builds on build/cpu instead of build/release
#
# A mistake must be caught by the net that its patch names, for every variant that it names, and by none before it:
#   value      a wrong result, or an error, with the threads in forward order
#   schedule   the same, in reverse order or one of four random ones
#   sanitizer  a report of AddressSanitizer or UndefinedBehaviorSanitizer (preset simt-asan)
#   race       a report of the race detector (preset simt-race)
#
# Patches of different variants share one copy of kernels/ (a round), since a test with a forced variant runs that
# variant's code alone. Only what a round changes is compiled; the rest comes from build/PRESET. What the nets say
# about a mistake counts only because the kernels as they are pass the very same commands, which is run last.
# Ends with "N caught, N not caught"; exit code 0 only when every patch applies and was caught as it says.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null
unset GAN_TEST_SEEDS GAN_TEST_SHARD
root=$PWD
work=$root/build/mutations
cores=$(nproc)
least=3    # mistakes of each variant
limit=60   # seconds for one variant's cases, thrice as many for all orders; hanging is caught as well
seeds=4    # random orders, as many as the test suite runs

plain=release chosen=()
while (($#)); do
  case $1 in
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/tests/mutations/run.sh"; exit 0 ;;
    --preset) plain=${2:?--preset wants a name}; shift ;;
    -*) echo "run.sh: unknown option $1 (known: --preset)" >&2; exit 2 ;;
    *) chosen+=("$1") ;;
  esac
  shift
done
declare -A preset_of=([plain]=$plain [sanitizer]=simt-asan [race]=simt-race)

errors=0
error() { errors=$((errors + 1)); echo "ERROR: $*"; }
die() { echo "run.sh: $*" >&2; exit 1; }
at_most_cores() { while (($(jobs -rp | wc -l) >= cores)); do wait -n; done; }

command -v patch >/dev/null || die "needs the program patch: run tools/setup.sh"
rm -rf "$work"
mkdir -p "$work/logs"

# ---- 1 The patches: what their heads say ----------------------------------------------------------------------------

head_field() { sed -n "/^--- /q; s/^$2: *//p" "$1"; }
declare -A file_of rungs_of also_of mistake_of net_of
names=()
if ((${#chosen[@]})); then files=("${chosen[@]}"); else files=("$root"/tests/mutations/*.patch); fi
for file in "${files[@]}"; do
  name=$(basename "$file" .patch)
  [[ -f $file ]] || { error "$name: there is no $file"; continue; }
  file_of[$name]=$(realpath "$file")
  rungs_of[$name]=$(head_field "$file" rung)
  also_of[$name]=$(head_field "$file" also)
  mistake_of[$name]=$(head_field "$file" mistake)
  net_of[$name]=$(head_field "$file" net)
  if [[ -z ${rungs_of[$name]} || -z ${mistake_of[$name]} ]]; then error "$name: no rung: or no mistake: in its head"
  elif [[ ! ${net_of[$name]} =~ ^(value|schedule|sanitizer|race)$ ]]; then
    error "$name: net: is \"${net_of[$name]}\", not value, schedule, sanitizer or race"
  else names+=("$name"); fi
done

# ---- 2 The builds that the rounds start from, and the list of variants ---------------------------------------------

nets_needed=(plain)
for net in sanitizer race; do
  for name in "${names[@]}"; do [[ ${net_of[$name]} == "$net" ]] && { nets_needed+=("$net"); break; }; done
done
for net in "${nets_needed[@]}"; do
  preset=${preset_of[$net]} targets=(gan_tests)
  [[ $net == plain ]] && targets+=(gan)
  { [[ -f build/$preset/build.ninja ]] || cmake --preset "$preset"; } >"$work/logs/build-$preset" 2>&1 &&
    cmake --build --preset "$preset" --target "${targets[@]}" >>"$work/logs/build-$preset" 2>&1 ||
    { tail -n 30 "$work/logs/build-$preset"; die "preset $preset does not build"; }
done

declare -A is_rung count_of exempt
while IFS= read -r rung; do is_rung[$rung]=1; done < <("build/$plain/bin/gan" kernels --device simt --json |
  sed -n 's/.*"op":"\([^"]*\)".*"name":"\([^"]*\)".*/\1=\2/p')
((${#is_rung[@]})) || die "gan kernels --device simt --json lists no variants"
while read -r rung why; do
  [[ -z $rung || $rung == \#* ]] && continue
  exempt[$rung]=$why
  [[ -n $why ]] || error "exempt: no reason given for $rung"
done <"$root/tests/mutations/exempt"
for name in "${names[@]}"; do
  for rung in ${rungs_of[$name]} ${also_of[$name]}; do
    [[ -n ${is_rung[$rung]:-} ]] || error "$name: device simt has no variant $rung; see gan kernels --device simt"
  done
  for rung in ${rungs_of[$name]}; do count_of[$rung]=$((${count_of[$rung]:-0} + 1)); done
done
if ((${#chosen[@]} == 0)); then
  for rung in $(printf '%s\n' "${!is_rung[@]}" | sort); do
    count=${count_of[$rung]:-0}
    if ((count < least)) && [[ -z ${exempt[$rung]:-} ]]; then
      error "$rung has $count mistakes, needs $least (or a line in tests/mutations/exempt)"
    elif ((count >= least)) && [[ -n ${exempt[$rung]:-} ]]; then
      error "$rung has $count mistakes: take it out of tests/mutations/exempt"
    fi
  done
fi

# ---- 3 Rounds: which patches share a copy ---------------------------------------------------------------------------

apply_patch() {  # NAME DIRECTORY: all of it or nothing, and only where the context is the same
  patch -d "$2" -p1 -F0 -s -f --dry-run <"${file_of[$1]}" && patch -d "$2" -p1 -F0 -s -f <"${file_of[$1]}"
} >>"$work/logs/apply" 2>&1

copy_of() { echo "$work/$1-$2"; }  # BUILD ROUND
fresh_copy() { mkdir -p "$1" && cp -a "$root/kernels" "$1/kernels"; }

fresh_copy "$work/pristine"
applying=()
for name in "${names[@]}"; do
  if patch -d "$work/pristine" -p1 -F0 -s -f --dry-run <"${file_of[$name]}" >"$work/logs/$name" 2>&1; then
    applying+=("$name")
  else
    error "$name no longer applies:"
    sed 's/^/  /' "$work/logs/$name"
  fi
done

declare -A members taken rounds_of  # "BUILD ROUND" -> names; "BUILD ROUND RUNG" -> 1; BUILD -> number of rounds
place() {  # BUILD NAME: into the first round that has none of its variants
  local build=$1 name=$2 round rung free
  for ((round = 0;; ++round)); do
    free=1
    for rung in ${rungs_of[$name]} ${also_of[$name]}; do
      [[ -n ${taken[$build $round $rung]:-} ]] && { free=0; break; }
    done
    ((${#chosen[@]})) && [[ -n ${members[$build $round]:-} ]] && free=0
    ((free)) || continue
    [[ -d $(copy_of "$build" $round) ]] || fresh_copy "$(copy_of "$build" $round)"
    apply_patch "$name" "$(copy_of "$build" $round)" || continue  # another one is too near
    break
  done
  for rung in ${rungs_of[$name]} ${also_of[$name]}; do taken[$build $round $rung]=1; done
  members[$build $round]+=" $name"
  ((round < ${rounds_of[$build]:-0})) || rounds_of[$build]=$((round + 1))
}
# Those that take most variants first: they fill rounds of their own.
by_width=$(for name in "${applying[@]}"; do echo "$(wc -w <<<"${rungs_of[$name]} ${also_of[$name]}") $name"; done |
  sort -k1,1nr -k2,2 | cut -d ' ' -f 2)
for name in $by_width; do
  place plain "$name"
  case ${net_of[$name]} in sanitizer | race) place "${net_of[$name]}" "$name" ;; esac
done

# ---- 4 Building a round ---------------------------------------------------------------------------------------------

declare -A objects_of  # BUILD -> lines "OBJECT FILE" for every kernel file and every header it includes
for net in "${nets_needed[@]}"; do
  objects_of[$net]=$(ninja -C "build/${preset_of[$net]}" -t deps |
    awk -v root="$root/" '/^[^ ].*: #deps/ { object = $1; sub(/:$/, "", object) }
         /^    / && object ~ /gan_kernels\.dir\/simt\// {
           file = $1  # /the/checkout/kernels/x.cuh, or ../../kernels/x.cuh through a compiler cache
           if (index(file, root) == 1) file = substr(file, length(root) + 1); else sub(/.*\.\.\//, "", file)
           if (file ~ /^kernels\//) print object, file }')
  ninja -C "build/${preset_of[$net]}" -t commands bin/gan_tests >"$work/commands-$net"
done

build_round() {  # BUILD ROUND: into COPY/gan_tests; compiles what differs from the tree
  local build=$1 copy link object sources objects=()
  copy=$(copy_of "$1" "$2")
  sources=$(cd "$copy" && find kernels -type f | while read -r file; do
    cmp -s "$file" "$root/$file" || grep -F " $file" <<<"${objects_of[$build]}" | cut -d ' ' -f 1
  done | sort -u)
  [[ -n $sources ]] || { error "round $build-$2 changes no object:${members[$build $2]}"; return 1; }
  for object in $sources; do
    local to=$copy/$(basename "$object") line
    line=$(grep -F -- " -o $object -c " "$work/commands-$build") || die "no command compiles $object"
    # The copy's headers and .cu come first; -O1 is built faster, and runs fast enough.
    line=$(sed "s# -I$root # -I$copy -I$root #; s# -include $root/# -include $copy/#; s# -O3 # -O1 #
                s# -MD -MT [^ ]* -MF [^ ]* # #; s# -o [^ ]* # -o $to #" <<<"$line ")
    at_most_cores
    (cd "build/${preset_of[$build]}" && eval "$line") >"$to.log" 2>&1 &
    objects+=("$to")
  done
  wait
  for object in "${objects[@]}"; do
    [[ -s $object ]] || { cat "$object.log"; error "round $build-$2 does not compile:${members[$build $2]}"; return 1; }
    [[ -s $object.log ]] && { cat "$object.log"; error "round $build-$2 gives warnings:${members[$build $2]}"; }
  done
  link=$(tail -n 1 "$work/commands-$build")
  # Before the libraries, so that the linker needs no unchanged kernel file out of libgan_kernels.a.
  link=${link/ -o bin\/gan_tests / ${objects[*]} -o $copy/gan_tests }
  (cd "build/${preset_of[$build]}" && eval "$link") >"$copy/link.log" 2>&1 ||
    { cat "$copy/link.log"; error "round $build-$2 does not link"; return 1; }
}

# ---- 5 Running ------------------------------------------------------------------------------------------------------

passes() {  # PROGRAM RUNG ORDERS LOG: the cases of one variant, in forward order or in all of them
  local all=() most=$limit
  [[ $3 == all ]] && all=(GAN_TEST_SEEDS="$seeds") most=$((3 * limit))
  echo "$1 $2 $3" >"$4"
  env ${all[@]+"${all[@]}"} GAN_KERNEL="$2" GAN_SIMT=schedule=forward,threads=1 GAN_TEST_QUICK=1 \
    UBSAN_OPTIONS=print_stacktrace=1 \
    timeout "$most" "$1" -tc="kernels on simt" -sc="${2%%=*}" --abort-after=1 >>"$4" 2>&1 &&
    grep -q '^gan tests: 1 test cases passed, 0 failed' "$4"
}

run_plain() {  # PROGRAM RUNG RESULT: writes value, schedule or none, then the orders it ran in
  if ! passes "$1" "$2" forward "$3.log"; then echo "value forward" >"$3"
  elif ! passes "$1" "$2" all "$3.log"; then echo "schedule all" >"$3"
  else echo "none all" >"$3"; fi
}
run_special() {  # BUILD PROGRAM RUNG RESULT: caught only by a report of that tool
  if passes "$2" "$3" forward "$4.log"; then echo "none forward" >"$4"
  elif grep -qE "$([[ $1 == race ]] && echo ' race: |nobody has written|asynchronous' ||
    echo 'AddressSanitizer:|runtime error:')" "$4.log"; then echo "$1 forward" >"$4"
  else echo "crash forward" >"$4"; fi
}

declare -A asked  # "BUILD RUNG" -> orders, forward or all (which has forward among them): what the kernels as they are must pass too
mkdir "$work/results"
result_of() { echo "$work/results/$1.$2.$3"; }  # BUILD NAME RUNG

for build in "${nets_needed[@]}"; do
  for ((round = 0; round < ${rounds_of[$build]:-0}; ++round)); do
    copy=$(copy_of "$build" $round)
    build_round "$build" $round || continue
    for name in ${members[$build $round]}; do
      for rung in ${rungs_of[$name]}; do
        at_most_cores
        if [[ $build == plain ]]; then run_plain "$copy/gan_tests" "$rung" "$(result_of plain "$name" "$rung")" 2>/dev/null &
        else run_special "$build" "$copy/gan_tests" "$rung" "$(result_of "$build" "$name" "$rung")" 2>/dev/null & fi
      done
    done
    wait
    echo "round $build-$round: ${members[$build $round]# } ($SECONDS s)" >>"$work/logs/rounds"
    rm -rf "$copy"
  done
done

# ---- 6 The same commands on the kernels as they are ----------------------------------------------------------------

for name in "${applying[@]}"; do
  for rung in ${rungs_of[$name]}; do
    for build in "${nets_needed[@]}"; do
      read -r _ ran 2>/dev/null <"$(result_of "$build" "$name" "$rung")" || continue
      [[ ${asked[$build $rung]:-} == all ]] || asked[$build $rung]=$ran
    done
  done
done
declare -A clean_log
clean=0
for key in "${!asked[@]}"; do
  read -r build rung <<<"$key"
  order=${asked[$key]}
  program=$root/build/${preset_of[$build]}/bin/gan_tests
  clean_log[$key]=$work/logs/clean-$((clean++))
  at_most_cores
  { passes "$program" "$rung" "$order" "${clean_log[$key]}" && touch "${clean_log[$key]}.passed"; } &
done
wait
for key in "${!asked[@]}"; do
  [[ -e ${clean_log[$key]}.passed ]] && continue
  read -r build rung <<<"$key"
  order=${asked[$key]}
  error "$rung fails without any mistake (build/${preset_of[$build]}, orders: $order): what it \"caught\" says nothing"
  tail -n 15 "${clean_log[$key]}" | sed 's/^/  /'
done

# ---- 7 The table ----------------------------------------------------------------------------------------------------

caught=0 missed=0 rows=()
for name in "${applying[@]}"; do
  said=${net_of[$name]} verdict=$said
  for rung in ${rungs_of[$name]}; do
    net=unknown
    read -r net _ 2>/dev/null <"$(result_of plain "$name" "$rung")"
    if [[ $net == none && $said =~ ^(sanitizer|race)$ ]]; then
      read -r net _ 2>/dev/null <"$(result_of "$said" "$name" "$rung")" || net=unknown
    fi
    if [[ $net == none || $net == unknown ]]; then
      verdict="NOT CAUGHT: $rung"
      break
    elif [[ $net != "$said" ]]; then verdict="$net, not $said: $rung"; fi
  done
  case $verdict in
    NOT*) missed=$((missed + 1)); error "$name: not caught by the tests of $rung" ;;
    "$said") caught=$((caught + 1)) ;;
    *) caught=$((caught + 1)); error "$name: caught by $verdict" ;;
  esac
  rows+=("${rungs_of[$name]}|${mistake_of[$name]}|$verdict")
done
missed=$((missed + ${#names[@]} - ${#applying[@]}))
widest=0
shorten() { if ((${#1} > 44)); then echo "${1:0:41}..."; else echo "$1"; fi; }
for row in "${rows[@]}"; do IFS='|' read -r _ mistake _ <<<"$row"; ((${#mistake} > widest)) && widest=${#mistake}; done
printf "%-44s | %-${widest}s | %s\n" rung mistake "caught by"
printf '%s\n' "${rows[@]}" | sort | while IFS='|' read -r rung mistake net; do
  printf "%-44s | %-${widest}s | %s\n" "$(shorten "$rung")" "$mistake" "$net"
done
if ((errors)); then echo "$errors errors (above); logs are in build/mutations"; fi
echo "$SECONDS s: ${rounds_of[plain]:-0} rounds, ${rounds_of[sanitizer]:-0} with sanitizers," \
  "${rounds_of[race]:-0} with the race detector; ${#asked[@]} commands passed by the kernels as they are"
echo "$caught caught, $missed not caught"
((errors == 0 && missed == 0))
