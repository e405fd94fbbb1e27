#!/usr/bin/env bash
# Tries the binaries of dist/bin on one x86_64 Debian 12 machine, each as far as it can be run there: dist/try.sh [DIST]
#
#   x86_64 Linux    here, beside the musl of an otherwise empty system, and beside the glibc of Debian 11
#   arm64 Linux     under qemu
#   x86_64 Windows  under Wine
#   macOS           not at all: `cargo test --test it binaries::` reads the files
#
# All but the last two is done by dist/smoke.sh. Needs root, Debian's archive, and its packages debootstrap, qemu-user-static,
# wine64 and mingw's gcc; what is missing is said and left out. Leaves nothing behind. Exits with 1 if any binary fails.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dist=$(realpath "${1:-dist}")
place=$(mktemp -d "${TMPDIR:-/tmp}/hotcrate-try.XXXXXX")
trap 'rm -rf "$place"' EXIT
failed=0

# try NAME BINARY COMMAND...
try() {
  local name=$1 binary=$2
  shift 2
  if [ ! -f "$binary" ]; then
    echo "left out: $name: $binary is not there"
  elif "$@"; then
    echo "passed:   $name"
  else
    echo "FAILED:   $name"
    failed=1
  fi
}

# Whether the command $1 is there; says what is left out, $2, where it is not.
have() {
  if command -v "$1" >/dev/null; then return; fi
  echo "left out: $2: there is no $1"
  return 1
}

here() { dist/smoke.sh "$1" "$dist/VERSION"; }

# in_root ROOT SHELL BINARY: in a system of its own, without Cargo.
in_root() {
  local root=$1 shell=$2
  mkdir -p "$root/try/dist" "$root/tmp" "$root/root"
  cp dist/smoke.sh "$dist/VERSION" "$root/try/dist/"
  cp "$3" "$root/try/hotcrate"
  chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin "$shell" /try/dist/smoke.sh /try/hotcrate /try/dist/VERSION
}

# Nothing but busybox, and musl with its loader: what Alpine is at its core.
musl_root() {
  local root=$1 package applet
  mkdir -p "$root/debs" "$root/dev"
  mknod -m 666 "$root/dev/null" c 1 3
  (cd "$root/debs" && apt-get -o APT::Sandbox::User=root download -qq busybox-static musl)
  for package in "$root"/debs/*.deb; do dpkg-deb --extract "$package" "$root"; done
  rm -rf "$root/debs"
  mkdir -p "$root/usr/bin" "$root/etc"
  ln -s busybox "$root/bin/sh"
  for applet in $(chroot "$root" /bin/busybox --list); do ln -sf /bin/busybox "$root/usr/bin/$applet"; done
  printf 'ID=alpine\nVERSION_ID=3.22.2\n' >"$root/etc/os-release"
}

# through PROGRAM NAME BINARY: started by another program.
through() {
  printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$1" "$3" >"$place/$2"
  chmod +x "$place/$2"
  PATH=/usr/bin:/bin dist/smoke.sh "$place/$2" "$dist/VERSION"
}

# Wine 8 has no bcryptprimitives.dll, of which Rust's standard library uses one function: another one does the same.
under_wine() {
  local compiler
  compiler=$(command -v x86_64-w64-mingw32-gcc)
  mkdir -p "$place/windows"
  cp "$1" "$place/windows/"
  cat >"$place/windows/stub.c" <<'C'
unsigned char __stdcall SystemFunction036(void *, unsigned long);
__declspec(dllexport) int __stdcall ProcessPrng(void *buffer, unsigned long long length) {
  return SystemFunction036(buffer, (unsigned long)length);
}
C
  PATH=$(dirname "$compiler"):$PATH "$compiler" -shared -o "$place/windows/bcryptprimitives.dll" \
    "$place/windows/stub.c" -ladvapi32
  # There is no Cargo for it: it starts, says so once, and lets the command do its work and fail as it fails.
  (
    export WINEPREFIX=$place/wine WINEDEBUG=-all
    cd "$place/windows"
    wine hotcrate.exe --version 2>version.log | tr -d '\r' | cmp - "$dist/VERSION" || { cat version.log && exit 1; }
    status=0
    wine hotcrate.exe run --store store -- cmd /c "echo started & exit 3" >run.out 2>run.log || status=$?
    grep -q '^started' run.out && grep -c '^hotcrate: warning: ' run.log | grep -qx 1 && [ "$status" -eq 3 ] ||
      { echo "status $status" && cat run.out run.log && exit 1; }
    wineserver --wait
  )
}

linux=$dist/bin/x86_64-unknown-linux-musl/hotcrate
try 'x86_64 Linux, here' "$linux" here "$linux"
if [ -f "$linux" ]; then
  musl_root "$place/musl"
  try 'x86_64 Linux, beside musl' "$linux" in_root "$place/musl" /usr/bin/sh "$linux"
  if have debootstrap 'x86_64 Linux, beside an old glibc'; then
    debootstrap --variant=minbase bullseye "$place/glibc" >"$place/debootstrap.log" 2>&1 ||
      { tail -n 5 "$place/debootstrap.log" && exit 1; }
    try "x86_64 Linux, beside $(chroot "$place/glibc" ldd --version | head -n 1)" "$linux" in_root "$place/glibc" /bin/sh "$linux"
  fi
fi
arm=$dist/bin/aarch64-unknown-linux-musl/hotcrate
if have qemu-aarch64-static 'arm64 Linux'; then try 'arm64 Linux, under qemu' "$arm" through qemu-aarch64-static arm.sh "$arm"; fi
windows=$dist/bin/x86_64-pc-windows-gnu/hotcrate.exe
# Where dist/build.sh has been run, it is there.
PATH=$PATH:$PWD/target/dist-tools/debian/usr/bin
if have wine 'x86_64 Windows' && have x86_64-w64-mingw32-gcc 'x86_64 Windows'; then try 'x86_64 Windows, under Wine' "$windows" under_wine "$windows"; fi
exit "$failed"
