#!/bin/sh
# Tries a binary on the machine that is to run it: dist/smoke.sh BINARY [VERSION-FILE]
#
# It must say its version (what VERSION-FILE holds, if given), and bring back what it saved, byte by byte, through a
# directory store. Where there is a cargo, it must also keep a build warm. Needs a POSIX shell and nothing else: busybox
# will do, and where there is no cargo, a script answers for it. Leaves nothing behind. Exits with 1 and says why.

set -eu
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
version_file=${2-}
repository=$(cd "$(dirname "$0")/.." && pwd)

place=$(mktemp -d "${TMPDIR:-/tmp}/hotcrate-smoke.XXXXXX")
trap 'rm -rf "$place"' EXIT
die() {
  echo "dist/smoke.sh: $*" >&2
  exit 1
}

version=$("$binary" --version)
if [ -n "$version_file" ] && [ "$version" != "$(cat "$version_file")" ]; then
  die "it says '$version', and $version_file '$(cat "$version_file")'"
fi

has_cargo=true
# Rustup's proxies look below HOME for the toolchains.
if [ -d "$HOME/.rustup" ]; then export RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"; fi
export HOME="$place/home" CARGO_HOME="$place/cargo-home" USERPROFILE="$place/home"
unset CARGO_TARGET_DIR HOTCRATE_STORE
mkdir -p "$HOME" "$CARGO_HOME" "$place/project/src" "$place/bin"
if ! cargo --version >/dev/null 2>&1; then
  has_cargo=false
  cat >"$place/bin/cargo" <<EOF
#!/bin/sh
tr -d "\n" <<JSON
{"packages":[{"name":"p","version":"0.1.0","id":"path+file://$place/project#p@0.1.0","license":null,"license_file":null,"description":null,
"source":null,"dependencies":[],"targets":[{"kind":["bin"],"crate_types":["bin"],"name":"p","src_path":"$place/project/src/main.rs",
"edition":"2024","doc":true,"doctest":false,"test":true}],"features":{},"manifest_path":"$place/project/Cargo.toml","metadata":null,
"publish":null,"authors":[],"categories":[],"keywords":[],"readme":null,"repository":null,"homepage":null,"documentation":null,
"edition":"2024","links":null,"default_run":null,"rust_version":null}],"workspace_members":["path+file://$place/project#p@0.1.0"],
"workspace_default_members":["path+file://$place/project#p@0.1.0"],"resolve":null,"target_directory":"$place/project/target",
"build_directory":"$place/project/target","version":1,"workspace_root":"$place/project","metadata":null}
JSON
EOF
  cat >"$place/bin/rustc" <<EOF
#!/bin/sh
printf '%s\n' 'rustc 1.95.0' 'binary: rustc' 'commit-hash: unknown' 'host: $(uname -m)-unknown-linux-musl' 'release: 1.95.0'
EOF
  chmod +x "$place/bin/cargo" "$place/bin/rustc"
  PATH=$place/bin:$PATH
fi

cd "$place/project"
printf '[package]\nname = "p"\nversion = "0.1.0"\nedition = "2024"\n' >Cargo.toml
printf 'version = 4\n\n[[package]]\nname = "p"\nversion = "0.1.0"\n' >Cargo.lock
printf 'fn main() {}\n' >src/main.rs
mkdir -p data/inner kept
head -c 3000000 "$binary" >data/inner/bytes
printf 'text\n' >data/text
cp -R data/. kept

"$binary" plan --json --store "$place/store" >plan.json || die "no plan can be made"
grep -q '"tiers"' plan.json || die "the plan has no tiers: $(cat plan.json)"
"$binary" save --strict --store "$place/store" --tiers extra --cache-directories data || die "it does not save"
rm -rf data
"$binary" restore --strict --store "$place/store" --tiers extra --cache-directories data || die "it does not restore"
for file in text inner/bytes; do
  cmp "data/$file" "kept/$file" || die "$file did not come back as it was"
done

if $has_cargo; then
  cp -R "$repository/tests/fixtures/small" "$place/small"
  cd "$place/small"
  build() {
    "$binary" run --strict --store "$place/store" -- cargo build --locked 2>"$place/log" || {
      cat "$place/log" >&2
      die "a build under it fails"
    }
  }
  build
  rm -rf target
  build
  # Cargo names the directory of a path package; those are the project's own.
  if grep Compiling "$place/log" | grep -v '('; then die "dependencies were compiled again"; fi
fi
echo "dist/smoke.sh: $version works here$($has_cargo || echo ' (no cargo: no build was tried)')"
