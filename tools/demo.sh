#!/usr/bin/env bash
# From a fresh clone to generated pictures: installs what is missing, builds the program, trains a small DCGAN on
# the embedded comic faces and a small pix2pix from drawn photos to comics, and names the pictures to open.
#
#   tools/demo.sh                    about three minutes of training
#   tools/demo.sh --minutes 10       longer, for each of the two: better faces
#   tools/demo.sh --device cpu ...   everything else goes to `gan train`
#
# Each run trains anew into runs/demo-dcgan and runs/demo-dcgan-comic (another folder: --out DIR, and DIR-comic).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=1.6 comic_minutes=1.25
out=runs/demo-dcgan
more=()
while (($#)); do
  case $1 in
    --minutes | --out)
      (($# >= 2)) || { echo "demo.sh: $1 wants a value" >&2; exit 2; }
      if [[ $1 == --out ]]; then out=$2; else minutes=$2 comic_minutes=$2; fi
      shift ;;
    --minutes=*) minutes=${1#*=} comic_minutes=${1#*=} ;;
    --out=*) out=${1#*=} ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' tools/demo.sh; exit 0 ;;
    *) more+=("$1") ;;
  esac
  shift
done

# The jobs: these are the commands to change, or to type by hand.
train=(build/release/bin/gan train dcgan builtin:comics --preset paper
       --size 32 --ngf 32 --ndf 32 --batch 64 --sample-every 500
       --lr 4e-4 --lr-d 2e-4 --label-smooth 0.1 --ema 0.995
       --minutes "$minutes" --out "$out" --force ${more[@]+"${more[@]}"})

comic=$out-comic
translate=(build/release/bin/gan train pix2pix builtin:comics --preset paper
           --size 64 --load-size 64 --ngf 24 --ndf 24 --n-layers-d 2 --batch 2 --sample-every 500 --eval-every 500
           --lr 5e-4 --lr-policy constant --lambda-l1 50 --ema 0.99
           --minutes "$comic_minutes" --out "$comic" --force ${more[@]+"${more[@]}"})
unseen=(build/release/bin/gan eval "$comic" builtin:comics --n 24 --metrics psnr,ssim --sheet "$comic/unseen.png")

tools/setup.sh
cmake --preset release
cmake --build --preset release --target gan

echo
echo "${train[*]}"
"${train[@]}"

echo
echo "${translate[*]}"
"${translate[@]}"
echo
echo "${unseen[*]}"
"${unseen[@]}" | tail -n 1

grids=("$out"/samples/*.png)
[[ -e ${grids[0]} ]] || { echo "demo.sh: $out/samples holds no pictures" >&2; exit 1; }
echo
echo "Done. Open these, each a grid of 64 faces from the same noise:"
echo "  first  ${grids[0]}"
echo "  last   ${grids[-1]}"
echo "and of photos that this training never saw, the comics made of them and the comics that were meant:"
echo "  $comic/unseen.png"
echo "More faces: build/release/bin/gan sample $out --n 64 --seed 7 --out faces.png"
