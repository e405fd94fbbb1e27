#!/usr/bin/env bash
# What sccache adds to the other tiers: a table of cold and warm builds of a published project, with the target directory
# kept, with sccache, and with both: again, after a lockfile bump, and in another job.
#
#   benches/sccache.sh [HOTCRATE] [SCCACHE]
#
# Needs crates.io, python3, and the two programs: by default target/release/hotcrate and the sccache that tests/run
# installs. Everything else lies in a temporary directory. One run of each: look at the differences, not at tenths.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
hotcrate=$(realpath "${1:-target/release/hotcrate}")
sccache=$(realpath "${2:-target/tools/sccache/bin/sccache}")
project=${PROJECT:-hexyl} version=${VERSION:-0.17.0} bump=${BUMP:-anstyle} to=${TO:-1.0.10}

export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
place=$(mktemp -d "${TMPDIR:-/tmp}/hotcrate-sccache-bench-XXXXXX")
trap 'rm -rf "$place"' EXIT
export HOME=$place/home CARGO_HOME=$place/cargo-home
unset RUSTC_WRAPPER HOTCRATE_SCCACHE
mkdir -p "$HOME" "$place/dependent/src"

# Cargo fetches the project as a dependency of an empty package.
: >"$place/dependent/src/lib.rs"
printf '[package]\nname = "dependent"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\n%s = "=%s"\n' \
  "$project" "$version" >"$place/dependent/Cargo.toml"
(cd "$place/dependent" && cargo fetch --quiet)
cp -r "$CARGO_HOME"/registry/src/*/"$project-$version" "$place/source"
rm -f "$place/source"/{.cargo-ok,Cargo.toml.orig,.cargo_vcs_info.json}
cp -r "$place/source" "$place/bumped"
(cd "$place/bumped" && cargo update --quiet --package "$bump" --precise "$to")

# fresh SOURCE: the checkout of a new machine, at the path that it always has.
fresh() {
  rm -rf "$place/work" "$HOME/.cache" "$CARGO_HOME"
  cp -r "$1" "$place/work"
}

# row NAME SOURCE STORE TIERS SCCACHE JOB: one job on a new machine.
row() {
  local name=$1 source=$2 store=$3 tiers=$4 wrapper=$5 job=$6 begin end
  fresh "$source"
  begin=$(date +%s.%N)
  (cd "$place/work" && "$hotcrate" run --quiet --store "$place/$store" --tiers "$tiers" --sccache "$wrapper" \
    --shared-key "$job" --report "$place/report.json" -- cargo build --locked --quiet)
  end=$(date +%s.%N)
  python3 - "$name" "$begin" "$end" "$place/report.json" <<'PYTHON'
import json, sys
name, begin, end, path = sys.argv[1:]
report = json.load(open(path))
stored = {t["tier"]: t["save"]["bytes"] or 0 for t in report["tiers"] if t["save"]}
packed = sum(bytes for tier, bytes in stored.items() if tier != "registry") / 1e6
wrapped = report.get("sccache") or {}
hits = wrapped.get("hits")
compiled = report["units"]["rebuilt"]
print(f"| {name} | {float(end) - float(begin):.1f} | {compiled} | {'' if hits is None else hits} | {packed:.1f} |")
PYTHON
}

# kind: what is kept, as STORE TIERS SCCACHE.
target=(target registry,deps,workspace false)
alone=(alone registry,sccache "$sccache")
both=(both registry,deps,workspace,sccache "$sccache")

printf '%s %s, %s; after the bump: %s %s\n\n' "$project" "$version" "$(rustc --version | cut -d' ' -f1,2)" "$bump" "$to"
printf '| job | seconds | units compiled | of those from sccache | MB stored |\n|---|---|---|---|---|\n'
row 'cold' "$place/source" none registry false one
for kind in target alone both; do
  declare -n what=$kind
  row "$kind: first" "$place/source" "${what[@]}" one
  row "$kind: again" "$place/source" "${what[@]}" one
  # Each looks at what the first run stored, and not at what the other stores.
  cp -r "$place/${what[0]}" "$place/kept"
  row "$kind: after a lockfile bump" "$place/bumped" "${what[@]}" one
  rm -rf "${place:?}/${what[0]}" && mv "$place/kept" "$place/${what[0]}"
  row "$kind: in a new job" "$place/source" "${what[@]}" two
done
