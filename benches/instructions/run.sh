#!/usr/bin/env bash
# Counts the instructions that a signed-in request takes in the layer, and compares them with expected.txt: a regression shows
# on a busy machine too. With --gateway it counts what the gateway does to the request's headers, which takes far longer to
# build. With --update it writes what it has counted instead.
set -euo pipefail
cd "$(dirname "$0")/../.."

expected=benches/instructions/expected.txt
# In thousandths. Another compiler makes other code of the same source.
tolerance=30
tolerance_of_others=150
few=1000
many=5000

name=pass work=pass without=request
update=false features=()
for option; do
    case "$option" in
        --update) update=true ;;
        --gateway) name=strip_and_identify work=strip-and-identify without=head features=(--features gateway) ;;
        *)
            echo 'usage: benches/instructions/run.sh [--gateway] [--update]' >&2
            exit 64
            ;;
    esac
done
command -v valgrind >/dev/null || {
    echo 'valgrind is missing: tests/all.sh installs it' >&2
    exit 69
}

# With the same versions as everything else.
cp Cargo.lock benches/instructions/Cargo.lock
target=${CARGO_TARGET_DIR:-target}/instructions
cargo build --quiet --release --manifest-path benches/instructions/Cargo.toml --target-dir "$target" "${features[@]}"

count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$target/release/instructions" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : //p'
}

# What one more time takes: starting and ending is in both.
each() { echo $((($(count "$1" $many) - $(count "$1" $few)) / (many - few))); }

known() { sed -n "s/^$1 //p" "$expected"; }

compiler=$(rustc --version | cut -d ' ' -f 2)
counted=$(($(each $work) - $(each $without)))

if $update; then
    sed -i "s/^$name .*/$name $counted/; s/^rustc .*/rustc $compiler/" "$expected"
    cat "$expected"
    exit
fi
if [ "$compiler" != "$(known rustc)" ]; then
    tolerance=$tolerance_of_others
    echo "rustc $compiler has built this, and $(known rustc) what it is compared with: up to $((tolerance / 10)) % more is let pass"
fi
before=$(known $name)
change=$(((counted - before) * 1000 / before))
echo "$name: $counted instructions, expected $before, $((change)) thousandths more"
if [ $change -gt $tolerance ]; then
    echo "that is more than $tolerance: if it has to be, write it down with benches/instructions/run.sh --update" >&2
    exit 1
elif [ $change -lt -$tolerance ]; then
    echo 'that is clearly fewer: keep it so with benches/instructions/run.sh --update'
fi
