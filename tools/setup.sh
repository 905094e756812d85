#!/usr/bin/env bash
# Installs the Debian packages the build needs, and only those that are missing; does nothing when all are there.
#
#   tools/setup.sh          what configuring, building and testing need
#   tools/setup.sh --dev    also clang, its sanitizer runtime and clang-format
#
# Needs root or sudo when something is missing. On a system without apt it says what to install by hand.
set -euo pipefail

# package:program where the program alone is enough, wherever it comes from; otherwise the package must be there.
packages=(cmake:cmake ninja-build:ninja g++:g++ patch:patch
          libdnnl-dev libstb-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libfmt-dev
          zlib1g-dev doctest-dev libbenchmark-dev)
optional=(libwebp-dev libtiff-dev)  # without them the build reads no WebP and no TIFF pictures
development=(clang-format-14:clang-format-14 clang:clang libclang-rt-14-dev)

for argument in "$@"; do
  case $argument in
    --dev) packages+=("${development[@]}") ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "setup.sh: unknown option $argument (known: --dev)" >&2; exit 2 ;;
  esac
done

is_installed() {
  [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# Those of its arguments that are missing.
missing_of() {
  local entry package program
  for entry in "$@"; do
    package=${entry%%:*} program=${entry#*:}
    if [[ $entry == *:* ]] && command -v "$program" >/dev/null; then continue; fi
    if command -v dpkg-query >/dev/null && is_installed "$package"; then continue; fi
    echo "$package"
  done
}
mapfile -t missing < <(missing_of "${packages[@]}")
mapfile -t wanted < <(missing_of "${optional[@]}")
if ((${#missing[@]} + ${#wanted[@]} == 0)); then exit 0; fi

# The build works without the optional ones: they are no reason to fail.
do_without() {
  if ((${#wanted[@]})); then echo "setup.sh: going on without ${wanted[*]}, which are optional: $1" >&2; fi
  if ((${#missing[@]} == 0)); then exit 0; fi
}

if ! command -v apt-get >/dev/null; then
  # The libraries may be there under other names: let the configuration decide, it names what it does not find.
  do_without "this system has no apt"
  echo "setup.sh: this system has no apt. If configuring fails, install what these Debian packages hold:" >&2
  echo "  ${missing[*]}" >&2
  exit 0
fi

as_root=(env)
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    do_without "neither root nor sudo to install them"
    echo "setup.sh: missing packages, and neither root nor sudo to install them. As root, run:" >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo env)
  [[ -t 0 ]] || as_root=(sudo -n env)  # nobody there to type a password: fail instead of waiting
fi
apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)

all=("${missing[@]}" "${wanted[@]}")
echo "setup.sh: installing ${all[*]}"
"${apt[@]}" update </dev/null || echo "setup.sh: apt-get update failed; going on with the lists that are there" >&2
install() { "${apt[@]}" install -y --no-install-recommends "$@" </dev/null; }
if install "${all[@]}"; then exit 0; fi
do_without "apt could not install them"
if ! install "${missing[@]}"; then
  echo "setup.sh: apt could not install: ${missing[*]}" >&2
  echo "Is there a network, and is this Debian 12 or newer with 'main' in its sources?" >&2
  exit 1
fi
