#!/usr/bin/env bash
# hotcrate beside rust-cache, sccache-action and actions/cache: the same jobs of the same project, as workflows under act,
# against the same cache service on this machine.
#
#   benches/peers.sh [hotcrate] [rust-cache] [sccache-action] [actions-cache]     measures these (all four without any)
#   benches/peers.sh --table                                                      prints what was measured so far
#
# Each runs four jobs on the default branch, each on a new machine (an empty HOME and CARGO_HOME, a fresh checkout at the
# same path): nothing stored yet; the same commit again; after an edit of one file; after a bump in Cargo.lock. A job is
# `cargo build` and `cargo test --no-run`. Told are the seconds of the whole job and of Cargo in it, the units that Cargo
# did not find fresh (with sccache, some of them come from its cache), and what is in the cache afterwards.
# One run of each: look at the differences, not at tenths.
#
# Peers and the project are cloned at the commits below. RUST_CACHE, SCCACHE_ACTION, ACTIONS_CACHE and PROJECT may name folders
# or addresses to clone them from instead; HOTCRATE another binary than target/release/hotcrate.
#
# Needs git, Node.js, python3, zstd, crates.io, and act and sccache from where tests/run installs them. Everything lies in a
# temporary directory, HOME, CARGO_HOME and the proxies of rustup included: nobody's own are seen by a peer. Results are
# kept in target/bench/peers.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
results=$target/bench/peers
mkdir -p "$results"

declare -A address=(
  [rust-cache]=${RUST_CACHE:-https://github.com/Swatinem/rust-cache}
  [sccache-action]=${SCCACHE_ACTION:-https://github.com/Mozilla-Actions/sccache-action}
  [actions-cache]=${ACTIONS_CACHE:-https://github.com/actions/cache}
  [project]=${PROJECT:-https://github.com/BurntSushi/ripgrep}
)
declare -A commit=(
  [rust-cache]=6323deb102c322ba6fcbdcafc7e3dddab59af2b6     # v2.9.2
  [sccache-action]=fc920bf0ec8de6ee65d409111f7ec508035751ba # v0.0.11
  [actions-cache]=27d5ce7f107fe9357f9df03efb73ab90386fccae  # v5.0.5
  [project]=e89fff89ac9af12e8d4ce9d5fd07beb408ca730f        # 15.2.0
)
declare -A version=([hotcrate]='' [rust-cache]=2.9.2 [sccache-action]=0.0.11 [actions-cache]=5.0.5)
sccache_version=0.16.0
# What becomes of the project between the jobs.
edited=crates/searcher/src/lib.rs
bumped=log bumped_to=0.4.35

table() {
  python3 - "$results" hotcrate rust-cache sccache-action actions-cache <<'PYTHON'
import json, os, sys
directory, *names = sys.argv[1:]
peers = [json.load(open(path)) for name in names if os.path.exists(path := f"{directory}/{name}.json")]
if not peers:
    sys.exit("nothing was measured yet")
print(f"{peers[0]['what']}\n")
print("| | " + " | ".join(f"{peer['name']} {peer['version']}" for peer in peers) + " |")
print("|---" * (len(peers) + 1) + "|")
for number, job in enumerate(peers[0]["jobs"]):
    jobs = [peer["jobs"][number] for peer in peers]
    for measure in [
        ("the job, seconds", lambda job: f"{job['job']:.1f}"),
        ("Cargo in it, seconds", lambda job: f"{job['cargo']:.1f}"),
        ("units not fresh", lambda job: str(job["compiled"])),
        ("stored, MB (entries)", lambda job: f"{job['bytes'] / 1e6:.0f} ({job['entries']})"),
    ]:
        print(f"| {job['name']}: {measure[0]} | " + " | ".join(measure[1](job) for job in jobs) + " |")
PYTHON
}

if [ "${1-}" = --table ]; then
  table
  exit
fi
if [ $# -eq 0 ]; then set -- hotcrate rust-cache sccache-action actions-cache; fi
for peer; do
  if [ -z "${version[$peer]+known}" ]; then
    echo "benches/peers.sh: $peer is none of hotcrate, rust-cache, sccache-action, actions-cache" >&2
    exit 2
  fi
done

hotcrate=$(realpath "${HOTCRATE:-$target/release/hotcrate}")
act=$target/tools/act/bin/act
sccache=$target/tools/sccache/bin/sccache
for program in "$hotcrate" "$act" "$sccache"; do
  if [ ! -x "$program" ]; then
    echo "benches/peers.sh: $program is missing: build it with cargo build --release, or let tests/run install it" >&2
    exit 1
  fi
done
version[hotcrate]=$("$hotcrate" --version | cut -d ' ' -f 2)
service=$(
  cargo build --quiet --locked --bench cache_service --message-format json |
    python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == "cache_service":
        print(message["executable"])'
)

place=$(mktemp -d "${TMPDIR:-/tmp}/hotcrate-peers-XXXXXX")
trap 'rm -rf "$place"' EXIT

# The toolchain, through copies of rustup's proxies: nothing that runs here knows where the real ones are.
mkdir "$place/bin"
if rustup=$(command -v rustup); then
  cp "$(readlink -f "$rustup")" "$place/bin/rustup"
  for proxy in cargo rustc rustdoc; do ln "$place/bin/rustup" "$place/bin/$proxy"; done
  toolchain=(RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" RUSTUP_TOOLCHAIN="$(rustup show active-toolchain | cut -d ' ' -f 1)")
else
  for program in cargo rustc rustdoc; do ln -s "$(command -v "$program")" "$place/bin/$program"; done
  toolchain=()
fi
path=$place/bin:$(dirname "$(command -v node)"):/usr/local/bin:/usr/bin:/bin

# check_out NAME: what NAME has at its commit, in $place/NAME.
check_out() {
  git clone --quiet --no-checkout "${address[$1]}" "$place/$1"
  git -C "$place/$1" checkout --quiet --detach "${commit[$1]}"
}

# step PEER: how its users write it. Paths are absolute, as act checks out to another place each time.
step() {
  case $1 in
    hotcrate)
      cat <<YAML
      - uses: hotcrate/hotcrate/dist@v1
        with: { project: $place/work }
YAML
      ;;
    rust-cache)
      cat <<YAML
      - uses: Swatinem/rust-cache@v2
        with: { workspaces: $place/work }
YAML
      ;;
    sccache-action)
      cat <<YAML
      - uses: mozilla-actions/sccache-action@v0
        with: { version: v$sccache_version }
      - run: |
          echo SCCACHE_GHA_ENABLED=true >>"\$GITHUB_ENV"
          echo RUSTC_WRAPPER=sccache >>"\$GITHUB_ENV"
          # sccache speaks version 2 in a form that the service of the tests does not know.
          echo ACTIONS_CACHE_SERVICE_V2= >>"\$GITHUB_ENV"
YAML
      ;;
    actions-cache)
      cat <<YAML
      - uses: actions/cache@v5
        with:
          path: |
            $place/home/.cargo/registry/index
            $place/home/.cargo/registry/cache
            $place/home/.cargo/git/db
            $place/work/target
          key: cargo-\${{ hashFiles('**/Cargo.lock') }}
          restore-keys: cargo-
YAML
      ;;
  esac
}

# workflow PEER: its job, in the project's repository.
workflow() {
  mkdir -p "$place/repository/.github/workflows"
  rm -f "$place/repository/.github/workflows"/*
  cat >"$place/repository/.github/workflows/ci.yml" <<YAML
name: ci
on: push
env: { CARGO_INCREMENTAL: 0, CARGO_TERM_COLOR: never }
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: rm -rf $place/work && cp -r . $place/work
$(step "$1")
      - working-directory: $place/work
        run: |
          begin=\$(date +%s.%N)
          cargo build --locked --message-format json >$place/messages
          cargo test --locked --no-run --message-format json >>$place/messages
          echo "\$begin \$(date +%s.%N)" >$place/seconds
YAML
}

# job PEER NAME: one run of the workflow on a new machine; what came of it, as JSON.
job() {
  local begin end entries bytes
  git -C "$place/repository" add --all
  git -C "$place/repository" diff --cached --quiet ||
    git -C "$place/repository" -c user.name=bench -c user.email=bench@example.com commit --quiet --message "$2"
  rm -rf "${place:?}/home" "$place/work"
  mkdir "$place/home"
  local machine=(env -i PATH="$path" HOME="$place/home" CARGO_HOME="$place/home/.cargo" "${toolchain[@]}")
  begin=$(date +%s.%N)
  if ! (cd "$place/repository" && "${machine[@]}" "$act" push -P ubuntu-latest=-self-hosted --action-offline-mode \
    --no-cache-server --action-cache-path "$place/act" --eventpath "$place/event.json" "${variables[@]}" \
    --local-repository "hotcrate/hotcrate@v1=$place/hotcrate" \
    --local-repository "hotcrate/hotcrate/dist@v1=$place/hotcrate" \
    --local-repository "Swatinem/rust-cache@v2=$place/rust-cache" \
    --local-repository "mozilla-actions/sccache-action@v0=$place/sccache-action" \
    --local-repository "actions/cache@v5=$place/actions-cache") >"$results/$1-${2// /-}.log" 2>&1; then
    tail -n 30 "$results/$1-${2// /-}.log" >&2
    exit 1
  fi
  end=$(date +%s.%N)
  # On GitHub the machine is gone by now.
  "${machine[@]}" "$sccache" --stop-server >/dev/null 2>&1 || true
  echo >&6
  read -r entries bytes <&5
  python3 - "$2" "$begin" "$end" "$entries" "$bytes" "$place" <<'PYTHON'
import json, sys
name, begin, end, entries, bytes, place = sys.argv[1:]
started, ended = map(float, open(f"{place}/seconds").read().split())
compiled = sum(
    message["reason"] == "compiler-artifact" and not message["fresh"]
    for message in map(json.loads, open(f"{place}/messages"))
)
print(json.dumps({"name": name, "job": float(end) - float(begin), "cargo": ended - started, "compiled": compiled,
                  "entries": int(entries), "bytes": int(bytes)}))
PYTHON
}

check_out project
mkdir -p "$place/hotcrate/dist/bin/$(uname -m)-unknown-linux-musl"
cp dist/action.yml dist/*.cjs "$place/hotcrate/dist/"
cp "$hotcrate" "$place/hotcrate/dist/bin/$(uname -m)-unknown-linux-musl/hotcrate"
echo '{"ref":"refs/heads/main","repository":{"default_branch":"main","full_name":"acme/app"}}' >"$place/event.json"
what="ripgrep 15.2.0, $("$place/bin/rustc" --version | cut -d ' ' -f 1,2 || true), $(nproc) cores, $(date -u +%F)"

for peer; do
  for other in rust-cache sccache-action actions-cache; do
    rm -rf "${place:?}/$other"
    if [ "$other" = "$peer" ]; then check_out "$other"; else mkdir "$place/$other"; fi
  done
  rm -rf "$place/repository" "$place/act"
  # Where act has its tools, and sccache-action looks before it downloads.
  tool=$place/act/tool_cache/sccache/$sccache_version/x64
  mkdir -p "$tool"
  cp "$sccache" "$tool/"
  touch "$tool.complete"
  git clone --quiet "$place/project" "$place/repository"
  git -C "$place/repository" checkout --quiet -B main "${commit[project]}"
  workflow "$peer"
  coproc SERVICE { exec "$service" --serve; }
  service_process=$SERVICE_PID
  # Those of a coprocess are closed in subshells.
  exec 5<&"${SERVICE[0]}" 6>&"${SERVICE[1]}"
  variables=()
  while read -r line <&5 && [ -n "$line" ]; do variables+=(--env "$line"); done
  {
    job "$peer" 'nothing stored'
    job "$peer" 'the same commit'
    printf '\n#[doc(hidden)]\npub fn edited() {}\n' >>"$place/repository/$edited"
    job "$peer" 'one file edited'
    (cd "$place/repository" && env -i PATH="$path" HOME="$place/home" CARGO_HOME="$place/home/.cargo" "${toolchain[@]}" \
      cargo update --quiet --package "$bumped" --precise "$bumped_to")
    job "$peer" 'Cargo.lock bumped'
  } | python3 -c 'import json, sys
name, version, what = sys.argv[1:]
print(json.dumps({"name": name, "version": version, "what": what, "jobs": [json.loads(line) for line in sys.stdin]}))' \
    "$peer" "${version[$peer]}" "$what" >"$place/result.json"
  mv "$place/result.json" "$results/$peer.json"
  kill "$service_process"
  exec 5<&- 6>&-
  wait "$service_process" 2>/dev/null || true
done
table
