#!/usr/bin/env bash
# Runs every check of the project, after installing what they need on a Debian machine that has Rust and git.
set -euo pipefail
cd "$(dirname "$0")/.."

# With how long it has taken so far.
step() { printf '\n== %s (%d min %02d s)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }

. tests/need.sh

step 'what the tests need'
need cc gcc curl curl chromium chromium chromedriver chromium-driver python3 python3 \
    valgrind valgrind nginx nginx caddy caddy haproxy haproxy redis-server redis-server
# Chinese text and emoji have to show in the browser tests.
fc-list 2>/dev/null | grep -q NotoSansCJK || need no-such-command fonts-noto-cjk
tests/clients/setup.sh

step 'format'
cargo fmt --check

step 'lints, with every feature'
cargo clippy --quiet --features full,bench --all-targets -- -D warnings

step 'each feature alone'
for feature in '' memory redis axum tower-sessions conformance embedded messages doors gateway simulator demo bench; do
    echo "feature: ${feature:-none}"
    cargo clippy --quiet --no-default-features --features "$feature" --lib -- -D warnings
done

step 'what is built in'
tests/supply-chain.sh

step 'documentation'
RUSTDOCFLAGS='-D warnings' cargo doc --quiet --features full --no-deps

step 'the commands of the READMEs'
tests/readme.sh

step 'instructions of a request'
benches/instructions/run.sh

step 'tests'
cargo test --features full
