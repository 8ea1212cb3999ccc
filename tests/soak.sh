#!/usr/bin/env bash
# Puts a mixed load on two gateways for some minutes (10, unless said otherwise), in a release build, and sees whether they
# give back what they have taken for it. docs/operations.md says what that means.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes="${1:-10}"
case "$minutes" in
    '' | *[!0-9.]*)
        echo "usage: tests/soak.sh [MINUTES]" >&2
        exit 64
        ;;
esac
command -v redis-server >/dev/null || {
    echo 'redis-server is missing: tests/all.sh installs it' >&2
    exit 69
}
WXGATE_SOAK_MINUTES="$minutes" cargo test --release --features full --test it -- --exact --nocapture \
    soak::what_a_mixed_load_takes_is_given_back_when_it_is_over
