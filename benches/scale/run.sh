#!/usr/bin/env bash
# Measures what a million users, a full store, a start and a hundred thousand connections cost, in a release build, and says
# of each aim whether it is met: benches/scale/run.sh [users|lookup|eviction|start|connections]...
set -euo pipefail
cd "$(dirname "$0")/../.."

[ $# -gt 0 ] || set -- users lookup eviction start connections
status=0
for what; do
    cargo bench --quiet --features full --bench scale -- "$what" || status=1
done
exit "$status"
