#!/usr/bin/env bash
# Takes the best of what fuzz/run.sh has found into fuzz/corpus: fuzz/keep.sh [TARGET...]
#
# Seeds, which have names, stay. Of the rest those are kept that reach something new, the smallest first, so many that a
# corpus has 150 files and 190 KiB at most.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_targets | sed 's/\.rs$//')
programs=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release

for target in "$@"; do
    corpus=fuzz/corpus/$target merged=$(mktemp -d)
    # What libFuzzer has found is named by its SHA-1.
    find "$corpus" -type f | grep -vE '/[0-9a-f]{40}$' | xargs -r cp -t "$merged"
    "$programs/$target" -merge=1 -max_len=16384 -timeout=10 "$merged" "$corpus" "fuzz/target/corpus/$target" 2>/dev/null
    files=$(find "$merged" -type f -regextype posix-egrep -not -regex '.*/[0-9a-f]{40}' | wc -l)
    size=$(find "$merged" -type f -regextype posix-egrep -not -regex '.*/[0-9a-f]{40}' -printf '%s\n' | awk '{ all += $1 } END { print all + 0 }')
    find "$corpus" -type f -regextype posix-egrep -regex '.*/[0-9a-f]{40}' -delete
    while read -r length file; do
        files=$((files + 1)) size=$((size + length))
        [ "$files" -le 150 ] && [ "$size" -le $((190 * 1024)) ] || break
        cp "$file" "$corpus/"
    done < <(find "$merged" -type f -regextype posix-egrep -regex '.*/[0-9a-f]{40}' -printf '%s %p\n' | sort -n)
    rm -r "$merged"
    printf '%-17s %d files, %s\n' "$target" "$(find "$corpus" -type f | wc -l)" "$(du -bsh "$corpus" | cut -f1)"
done
