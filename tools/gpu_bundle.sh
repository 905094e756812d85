#!/usr/bin/env bash
# Packs the programs that prove and measure this project on a GPU for a machine that has a driver and nothing else:
# no compiler, no packages. Needs the CUDA toolkit here; no GPU.
#
#   tools/gpu_bundle.sh                       build/gan-gpu.tar.xz, for H100 and H200 (sm_90a)
#   tools/gpu_bundle.sh --arch '80;90a-real' --out /tmp/gan.tar.xz     also for A100, and newer GPUs by PTX of sm_80
#   tools/gpu_bundle.sh --line-info           compute-sanitizer can name source lines; about twice the size
#
# There:  tar xJf gan-gpu.tar.xz && gan-gpu/gpu_check.sh --part 1, and --part 2
# Building happens in build/bundle, apart from the other builds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

architectures='90a-real'
out=build/gan-gpu.tar.xz
cuda_flags=
while (($#)); do
  case $1 in
    --arch | --out)
      (($# >= 2)) || { echo "gpu_bundle.sh: $1 wants a value" >&2; exit 2; }
      if [[ $1 == --arch ]]; then architectures=$2; else out=$2; fi
      shift ;;
    --line-info) cuda_flags=-lineinfo ;;  # the machine code is the same
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' tools/gpu_bundle.sh; exit 0 ;;
    *) echo "gpu_bundle.sh: unknown option $1 (known: --arch, --out, --line-info)" >&2; exit 2 ;;
  esac
  shift
done

command -v xz >/dev/null || { echo "gpu_bundle.sh: needs the program xz: apt-get install xz-utils" >&2; exit 1; }
programs=(gan gan_tests wrapper_conformance bench_rungs bench_step)
build=build/bundle
start=$SECONDS

# Libraries travel in lib/ beside bin/. DT_RPATH, not RUNPATH, is what the libraries' own needs are looked up in too.
cmake -S . -B $build -G Ninja -D GAN_CUDA=ON "-DGAN_CUDA_ARCHITECTURES=$architectures" -D CMAKE_CUDA_FLAGS=$cuda_flags \
      '-DCMAKE_BUILD_RPATH=$ORIGIN/../lib' -D CMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags
cmake --build $build --target "${programs[@]}"
echo "built in $((SECONDS - start)) s"

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
top=$stage/gan-gpu
mkdir -p "$top/bin" "$top/lib" "$top/data"
for program in "${programs[@]}"; do
  strip -o "$top/bin/$program" "$build/bin/$program"
done
cp -r tests/data/replay "$top/data/"
cp tools/gpu_check.sh LICENSE "$top/"

# Every library they load but glibc's and the driver's, which belong to the machine.
glibc='^(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv)\.so\..*|libcuda\.so\..*)$'
ldd "$top"/bin/* | awk '$2 == "=>" && $3 ~ /^\// {print $1, $3}' | sort -u | while read -r name file; do
  [[ $name =~ $glibc ]] || strip --strip-unneeded -o "$top/lib/$name" "$file"
done
if unresolved=$(ldd "$top"/bin/* | grep 'not found' | sort -u); [[ -n $unresolved ]]; then
  echo "gpu_bundle.sh: libraries that this machine does not have either: $unresolved" >&2
  exit 1
fi

# The newest glibc function that any of them uses.
needs=$(readelf -V "$top"/bin/* "$top"/lib/* | grep -o 'GLIBC_2\.[0-9.]*' | sort -Vu | tail -n 1)
commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
cat >"$top/BUNDLE" <<EOF
commit=$commit
architectures=${architectures//;/ }
nvcc=$("$(sed -n 's/^CMAKE_CUDA_COMPILER:[A-Z]*=//p' $build/CMakeCache.txt)" --version | sed -n 's/.*release.*V//p')
machine=$(uname -m)
glibc=${needs#GLIBC_}
EOF

mkdir -p "$(dirname "$out")"
tar -C "$stage" -c gan-gpu | xz -9e >"$out.part"
mv "$out.part" "$out"
echo "$out: $(du -h --apparent-size "$out" | cut -f1), unpacked $(du -sh --apparent-size "$top" | cut -f1)"
sed 's/^/  /' "$top/BUNDLE"
