#!/usr/bin/env bash
# Fuzzes each target for so many seconds (60): fuzz/run.sh [SECONDS] [TARGET...]
#
# What is found on the way is kept in fuzz/target/corpus and is where the next run goes on; fuzz/keep.sh takes the best
# of it into fuzz/corpus. FUZZ_AT_ONCE=2 runs two targets at a time.
set -euo pipefail
cd "$(dirname "$0")/.."

# Our code has no unsafe, so that a sanitizer would look at libraries alone, at a quarter of the speed. Any other than
# "none", such as FUZZ_SANITIZER=address, needs what a stable compiler only does when it is told to.
sanitizer=${FUZZ_SANITIZER:-none}
[ "$sanitizer" = none ] || export RUSTC_BOOTSTRAP=1
programs=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release

one() {
    local seconds=$1 target=$2 log status=0 before
    local found=fuzz/target/corpus/$target artifacts=fuzz/artifacts/$target
    mkdir -p "$found" "$artifacts"
    before=$(find "$found" -type f | wc -l)
    log=fuzz/target/$target.log
    local options=(-max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
        -artifact_prefix="$artifacts/")
    [ -f "fuzz/dictionaries/$target.dict" ] && options+=(-dict="fuzz/dictionaries/$target.dict")
    "$programs/$target" "${options[@]}" "$found" "fuzz/corpus/$target" >"$log" 2>&1 || status=$?
    stat() { sed -n "s/^stat::$1: *//p" "$log"; }
    printf '%-17s %10s executions, %6s a second, %s, %d new files\n' "$target" \
        "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" \
        "$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1)" \
        $(($(find "$found" -type f | wc -l) - before))
    if [ "$status" != 0 ]; then
        tail -n 30 "$log"
        printf '%s CRASHED. To see it again: %s/%s FILE, with the file of %s\n' "$target" "$programs" "$target" "$artifacts"
    fi
    return "$status"
}

if [ "${1:-}" = --one ]; then
    one "$2" "$3"
    exit
fi

seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_targets | sed 's/\.rs$//')
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
cargo fuzz build --sanitizer "$sanitizer"
# Configurations are tried with files beside them.
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
printf '%s\n' "$@" | xargs -P "${FUZZ_AT_ONCE:-1}" -I{} fuzz/run.sh --one "$seconds" {} || {
    echo 'something was found: put the file into fuzz/corpus/TARGET, mend what is wrong, and run again' >&2
    exit 1
}
