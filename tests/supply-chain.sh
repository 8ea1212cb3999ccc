#!/usr/bin/env bash
# What is built in: the licences and sources of all dependencies, how many the layer has, and whether one is known to be
# vulnerable. ADVISORY_DB names a copy of the RustSec database for machines that do not reach it.
set -euo pipefail
cd "$(dirname "$0")/.."

# As many as the layer has, which an app's owner gets with it. One more has to be worth it: then write the new number here.
budget=154

tool() { cargo "$1" --version >/dev/null 2>&1 || cargo install --quiet --locked --debug "cargo-$1"; }

tool deny
cargo deny --all-features check licenses bans sources

layer=$(cargo tree --locked --edges normal --prefix none --no-dedupe | sort -u)
count=$(wc -l <<<"$layer")
echo "the layer alone: $count crates, of $budget at most"
if [ "$count" -gt "$budget" ]; then
    echo 'that is more than it may have: cargo tree --edges normal' >&2
    exit 1
fi
for elsewhere in askama clap lol_html minijinja qrcode redis rusqlite toml tracing-subscriber; do
    if grep -q "^$elsewhere v" <<<"$layer"; then
        echo "the layer alone must not need $elsewhere" >&2
        exit 1
    fi
done

if [ -n "${ADVISORY_DB:-}" ]; then
    tool audit
    cargo audit --db "$ADVISORY_DB" --no-fetch --stale
elif timeout 20 git ls-remote --quiet https://github.com/rustsec/advisory-db HEAD >/dev/null 2>&1; then
    tool audit
    cargo audit
else
    echo 'the RustSec database cannot be reached from this machine: dependencies were not compared with it'
fi
