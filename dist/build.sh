#!/usr/bin/env bash
# Makes the binaries that the action runs, and tells whether they are up to date.
#
#   dist/build.sh [TARGET...]            builds for each target (all five without any) into dist/bin/TARGET/, and
#                                        writes dist/VERSION and dist/SHA256SUMS
#   dist/build.sh --check                says whether the binaries in dist/ were made from these sources; exits with 1 if not
#   dist/build.sh --record [TARGET...]   writes dist/VERSION and dist/SHA256SUMS for binaries that were built elsewhere
#   dist/build.sh --sources              prints the digest of the sources
#
# `--out DIR` before anything else puts DIR in dist's place.
#
# A target whose standard library the toolchain on PATH has (`rustup target add`) is built with that toolchain, and
# natively: that is the way on GitHub's runners. Any other is cross-compiled, on x86_64 Debian 12, by parts that
# are fetched into target/dist-tools without installing anything: Debian's current Rust and the sources of its
# standard library, zig as the linker and for its C libraries, mingw for Windows. That way needs gcc, python3 with pip,
# crates.io, PyPI and Debian's archive.
#
# SHA256SUMS lists the binaries that were made from the sources VERSION names, and no other: one that is not listed is
# stale. The digest of the sources is compiled into the binary as well (`hotcrate --version`).

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets=(
  x86_64-unknown-linux-musl
  aarch64-unknown-linux-musl
  x86_64-apple-darwin
  aarch64-apple-darwin
  x86_64-pc-windows-gnu
)
# Parts of the cross-compiler. The wheels are pinned by digest in install_zig.
zig_version=0.17.0
zigbuild_version=0.24.0
debian_packages=(rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64-posix llvm-14)
# What a binary may weigh, in bytes: it is part of every checkout of the action.
most_bytes=8000000

target_directory=${CARGO_TARGET_DIR:-target}
case $target_directory in
  /*) ;;
  *) target_directory=$PWD/$target_directory ;;
esac
tools=$target_directory/dist-tools
out=dist

say() { printf 'dist/build.sh: %s\n' "$*" >&2; }
die() {
  say "$@"
  exit 1
}

# macOS has shasum alone.
sha256() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

# The digest of everything that makes up a binary, this script with its flags included.
sources_digest() {
  {
    printf '%s\n' Cargo.toml Cargo.lock dist/build.sh
    find src -type f ! -name '.*'
  } | LC_ALL=C sort | while IFS= read -r file; do
    sha256 <"$file" | cut -d ' ' -f 1
    printf '%s\n' "$file"
  done | sha256 | cut -d ' ' -f 1
}

# What `hotcrate --version` of a binary from these sources prints.
version_line() {
  local version
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
  printf 'hotcrate %s (sources %s)\n' "$version" "$(sources_digest)"
}

binary_name() { case $1 in *-windows-*) echo hotcrate.exe ;; *) echo hotcrate ;; esac; }

# The binaries in $out, one a line, relative to it.
binaries() { (cd "$out" && if [ -d bin ]; then find bin -type f | LC_ALL=C sort; fi); }

# record LINE TARGET...: the binaries of TARGETs were made from the sources of LINE. What SHA256SUMS lists besides
# stays listed if it was made from them too.
record() {
  local line=$1 target listed=''
  shift
  if [ -f "$out/SHA256SUMS" ] && [ "$(cat "$out/VERSION" 2>/dev/null)" = "$line" ]; then
    listed=$(cat "$out/SHA256SUMS")
  fi
  for target; do
    listed=$(printf '%s\n' "$listed" | grep -v "  bin/$target/" || true)
    listed+=$'\n'$(cd "$out" && sha256 "bin/$target/$(binary_name "$target")")
  done
  printf '%s\n' "$line" >"$out/VERSION"
  printf '%s\n' "$listed" | sed '/^$/d' | LC_ALL=C sort -k 2 >"$out/SHA256SUMS"
}

check() {
  local line stale=0 found
  line=$(version_line)
  found=$(binaries)
  if [ -z "$found" ]; then
    say "no binary in $out/bin yet"
    return 0
  fi
  if [ "$(cat "$out/VERSION" 2>/dev/null)" != "$line" ]; then
    say "stale: $out/VERSION says '$(cat "$out/VERSION" 2>/dev/null)', the sources '$line'"
    stale=1
  fi
  local name
  while IFS= read -r name; do
    if [ "$(grep "  $name\$" "$out/SHA256SUMS" 2>/dev/null)" != "$(cd "$out" && sha256 "$name")" ]; then
      say "stale: $out/$name is not what $out/SHA256SUMS lists"
      stale=1
    fi
  done <<<"$found"
  while read -r _ name; do
    if [ ! -f "$out/$name" ]; then
      say "missing: $out/$name, which $out/SHA256SUMS lists"
      stale=1
    fi
  done < <(cat "$out/SHA256SUMS" 2>/dev/null)
  if [ "$stale" -eq 0 ]; then
    say "up to date: $(printf '%s\n' "$found" | wc -l | tr -d ' ') binaries, made from these sources"
  fi
  return "$stale"
}

# apt with package lists of its own below $tools: a machine's may be missing, or too old to name what the archive still has.
apt() {
  apt-get -o Dir::State::Lists="$tools/apt/lists" -o Dir::Cache="$tools/apt/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

# debian_rust PROGRAM...: runs a program of Debian's Rust where it was unpacked. Some packages still name /lib, which is a link
# to /usr/lib only where they are installed.
debian_rust() {
  local root=$tools/debian
  LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu "$@"
}

# Whether Debian's Rust is there and new enough for these sources.
has_debian_rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
  found=$(debian_rust "$tools/debian/usr/bin/rustc" --version 2>/dev/null | cut -d ' ' -f 2) || return 1
  [ "$(printf '%s\n' "$wanted" "$found" | sort --version-sort | head -n 1)" = "$wanted" ]
}

# Debian's Rust and mingw, unpacked below $tools: installing them would put a second rustc on PATH.
install_debian_packages() {
  if has_debian_rust; then return; fi
  say "fetching ${debian_packages[*]} from Debian's archive"
  rm -rf "$tools/debs" "$tools/debian" "$tools/debian.new"
  mkdir -p "$tools/debs" "$tools/debian.new" "$tools/apt/lists/partial" "$tools/apt/cache/archives/partial"
  apt update -qq
  local wanted
  wanted=$(
    apt install --simulate --no-install-recommends "${debian_packages[@]}" |
      awk '/^Inst/ { version = $3; sub(/^\(/, "", version); print $2 "=" version }'
  )
  # shellcheck disable=SC2086 # one package a word
  (cd "$tools/debs" && apt download -qq $wanted)
  local package
  for package in "$tools"/debs/*.deb; do dpkg-deb --extract "$package" "$tools/debian.new"; done
  # Debian's own name of it is a link that installing would make.
  ln -sf x86_64-w64-mingw32-gcc-posix "$tools/debian.new/usr/bin/x86_64-w64-mingw32-gcc"
  mv "$tools/debian.new" "$tools/debian"
  rm -rf "$tools/debs" "$tools/apt"
  if ! has_debian_rust; then die "Debian's archive has no Rust that is new enough for these sources"; fi
}

install_zig() {
  local python=$tools/python
  if [ -x "$python/bin/cargo-zigbuild" ]; then return; fi
  say "fetching zig $zig_version and cargo-zigbuild $zigbuild_version from PyPI"
  printf '%s\n' >"$tools/wheels" \
    "ziglang==$zig_version --hash=sha256:97079827064a7492cce5541ceb438ae8003ce1e54e399676da2d62fb7a5dc08b" \
    "cargo-zigbuild==$zigbuild_version --hash=sha256:484412e39e4c6039474535ce97ee75a22bab22d58233056f8ec8a8f9034bb957"
  rm -rf "$python"
  python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --target "$python" --requirement "$tools/wheels"
}

# What hotcrate calls of macOS's frameworks, for the certificates in a keychain.
core_foundation='_CFArrayCreate _CFArrayGetCount _CFArrayGetValueAtIndex _CFDataGetBytePtr _CFDataGetLength
  _CFDictionaryGetValueIfPresent _CFEqual _CFNumberGetValue _CFRelease _CFRetain _CFStringCreateWithBytesNoCopy _CFStringGetBytes
  _CFStringGetCStringPtr _CFStringGetLength _kCFAllocatorDefault _kCFAllocatorNull _kCFTypeArrayCallBacks'
security='_SecCertificateCopyData _SecCopyErrorMessageString _SecTrustSettingsCopyCertificates _SecTrustSettingsCopyTrustSettings'

# framework NAME SYMBOL...: a stand-in for a framework of macOS, of which a linker needs no more than the names in it. zig brings
# none. Apple's own SDK may not be given away.
framework() {
  local name=$1 directory=$tools/apple-sdk/System/Library/Frameworks/$1.framework symbols
  shift
  symbols=$(printf ', %s' "$@")
  mkdir -p "$directory"
  cat >"$directory/$name.tbd" <<TBD
--- !tapi-tbd
tbd-version: 4
targets: [ x86_64-macos, arm64-macos ]
install-name: '/System/Library/Frameworks/$name.framework/Versions/A/$name'
exports:
  - targets: [ x86_64-macos, arm64-macos ]
    symbols: [ ${symbols#, } ]
...
TBD
}

install_frameworks() {
  # shellcheck disable=SC2086 # one symbol a word
  framework CoreFoundation $core_foundation
  # shellcheck disable=SC2086 # one symbol a word
  framework Security $security
}

install_cross_compiler() {
  if [ "$(uname -s -m)" != 'Linux x86_64' ] || ! grep -q '^VERSION_CODENAME=bookworm$' /etc/os-release; then
    die "the toolchain on PATH has no standard library for this target: try 'rustup target add $1'." \
      "Cross-compiling without it works on x86_64 Debian 12 alone."
  fi
  if ! command -v gcc >/dev/null || ! python3 -m pip --version >/dev/null 2>&1; then
    if [ "$(id -u)" -ne 0 ]; then die "needs gcc and pip: apt-get install gcc libc6-dev python3-pip"; fi
    apt-get install --quiet --yes --no-install-recommends gcc libc6-dev python3-pip
  fi
  mkdir -p "$tools"
  install_debian_packages
  install_zig
  install_frameworks
}

# cross_compile TARGET CARGO-OPTIONS...
cross_compile() {
  local target=$1 usr=$tools/debian/usr flags=$RUSTFLAGS build=(zigbuild) sdk=''
  shift
  case $target in
    # Debian's rustc comes without musl's start files: zig brings them.
    *-linux-musl) flags+=" -Clink-self-contained=no -Ctarget-feature=+crt-static -Crelocation-model=static" ;;
    # Stripping on behalf of rustc needs a tool that Debian does not package.
    *-apple-darwin)
      flags+=" -Cstrip=none"
      sdk=$tools/apple-sdk
      ;;
    # zig's own mingw lacks what rustc asks for.
    *-windows-gnu) build=(build) ;;
  esac
  (
    export PATH=$tools/python/bin:$usr/bin:$PATH
    export CARGO=$usr/bin/cargo RUSTC=$usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags PYTHONPATH=$tools/python
    export ZIG_GLOBAL_CACHE_DIR=$tools/zig-cache CARGO_ZIGBUILD_CACHE_DIR=$tools/zigbuild-cache
    export CARGO_ZIGBUILD_ZIG_PATH=$tools/python/ziglang/zig
    if [ -n "$sdk" ]; then export SDKROOT=$sdk; fi
    export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
    # rustup's proxies and settings must not choose another toolchain.
    unset RUSTUP_TOOLCHAIN RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
    local cargo=$CARGO
    if [ "${build[0]}" = zigbuild ]; then cargo=cargo-zigbuild; fi
    # Without the part that reads debug information, which a stripped binary has none of, and with the smaller of two ways to sort
    # and to print: half a megabyte less, and nothing was slower.
    build+=(-Zbuild-std=std,panic_unwind -Zbuild-std-features=panic-unwind,optimize_for_size)
    debian_rust "$cargo" "${build[@]}" --target "$target" "$@"
  )
  case $target in *-apple-darwin) strip_symbols "$target_directory/$target/dist/hotcrate" ;; esac
}

# strip_symbols BINARY: takes the symbols out of a binary for macOS, which zig leaves there, and signs it again, by nobody: LLVM does
# both from version 14 on.
strip_symbols() {
  local strip=usr/lib/llvm-14/bin/llvm-strip
  # Where it is installed, nothing was fetched.
  if [ -x "$tools/debian/$strip" ]; then strip=$tools/debian/$strip; else strip=/$strip; fi
  if [ ! -x "$strip" ]; then die "there is no $strip: without $tools/debian it is fetched"; fi
  debian_rust "$strip" "$1"
}

# has_standard_library TARGET: whether the toolchain on PATH can build for TARGET.
has_standard_library() {
  local directory
  directory=$(rustc --print target-libdir --target "$1" 2>/dev/null) && [ -d "$directory" ]
}

build() {
  local target=$1 options=(--profile dist --locked --bin hotcrate)
  say "building $target"
  # Paths of this machine are nobody's business, and would make every machine's binary another one.
  export RUSTFLAGS="--remap-path-prefix=$PWD=/hotcrate --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
  export CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$target_directory
  if has_standard_library "$target"; then
    cargo build --target "$target" "${options[@]}"
  else
    install_cross_compiler "$target"
    RUSTFLAGS+=" --remap-path-prefix=$tools/debian=/rust"
    cross_compile "$target" "${options[@]}"
  fi
  local name built size
  name=$(binary_name "$target")
  built=$target_directory/$target/dist/$name
  size=$(($(wc -c <"$built")))
  if [ "$size" -gt "$most_bytes" ]; then die "$target: $size bytes are more than $most_bytes"; fi
  mkdir -p "$out/bin/$target"
  # Renamed into place, as the one that is there may be running.
  cp "$built" "$out/bin/$target/$name.new"
  chmod 755 "$out/bin/$target/$name.new"
  mv "$out/bin/$target/$name.new" "$out/bin/$target/$name"
  say "built $out/bin/$target/$name: $size bytes"
}

if [ "${1-}" = --out ]; then
  out=${2:?--out needs a directory}
  shift 2
  mkdir -p "$out"
fi
case ${1-} in
  --check) check ;;
  --sources) sources_digest ;;
  --record)
    shift
    if [ $# -eq 0 ]; then
      while IFS=/ read -r _ target _; do set -- "$@" "$target"; done < <(binaries)
    fi
    record "$(version_line)" "$@"
    ;;
  --*)
    say "unknown option $1: expected [--out DIR] [TARGET...], --check, --record or --sources"
    exit 2
    ;;
  *)
    if [ $# -gt 0 ]; then targets=("$@"); fi
    line=$(version_line)
    export HOTCRATE_BUILD_VERSION=${line#hotcrate }
    for target in "${targets[@]}"; do build "$target"; done
    record "$line" "${targets[@]}"
    ;;
esac
