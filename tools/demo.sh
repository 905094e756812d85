#!/usr/bin/env bash
# From a fresh clone to generated pictures: installs what is missing, builds the program, trains a small DCGAN on
# the embedded comic faces, and names the pictures to open.
#
#   tools/demo.sh                    about a minute and a half of training
#   tools/demo.sh --minutes 10       longer: better faces
#   tools/demo.sh --device cpu ...   everything else goes to `gan train`
#
# Each run trains anew into runs/demo-dcgan (another folder: --out DIR).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=1.6
out=runs/demo-dcgan
more=()
while (($#)); do
  case $1 in
    --minutes | --out)
      (($# >= 2)) || { echo "demo.sh: $1 wants a value" >&2; exit 2; }
      [[ $1 == --out ]] && out=$2 || minutes=$2
      shift ;;
    --minutes=*) minutes=${1#*=} ;;
    --out=*) out=${1#*=} ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' tools/demo.sh; exit 0 ;;
    *) more+=("$1") ;;
  esac
  shift
done

# The job: this is the command to change, or to type by hand.
train=(build/release/bin/gan train dcgan builtin:comics
       --size 32 --ngf 32 --ndf 32 --batch 64 --sample-every 500
       --lr 4e-4 --lr-d 2e-4 --label-smooth 0.1 --ema 0.995
       --minutes "$minutes" --out "$out" --force ${more[@]+"${more[@]}"})

tools/setup.sh
cmake --preset release
cmake --build --preset release --target gan

echo
echo "${train[*]}"
"${train[@]}"

grids=("$out"/samples/*.png)
[[ -e ${grids[0]} ]] || { echo "demo.sh: $out/samples holds no pictures" >&2; exit 1; }
echo
echo "Done. Open these, each a grid of 64 faces from the same noise:"
echo "  first  ${grids[0]}"
echo "  last   ${grids[-1]}"
echo "More faces: build/release/bin/gan sample $out --n 64 --seed 7 --out faces.png"
