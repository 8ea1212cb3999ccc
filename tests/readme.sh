#!/usr/bin/env bash
# Runs the commands of the READMEs, in their order, as somebody would who types them.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

commands() { awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' "$1"; }

if ! diff <(commands README.md) <(commands README.zh-CN.md); then
    echo 'README.md and README.zh-CN.md show different commands' >&2
    exit 1
fi

work=$(mktemp -d)
server=
stop() { if [ -n "$server" ]; then kill "-${1:-INT}" "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; server=; fi; }
trap 'stop; rm -rf "$work"' EXIT
echo 0123456789abcdef0123456789abcdef >"$work/secret.txt"
# The file that the READMEs show, with the folder that it names.
sed -n '/^```toml$/,/^```$/p' README.md | sed '1d;$d' | sed "s|/srv/h5/assets|$work/assets|" >"$work/wxgate.toml"
mkdir "$work/assets"
toml_of() { sed -n '/^```toml$/,/^```$/p' "$1" | sed 's/ *#.*//'; }
if ! diff <(toml_of README.md) <(toml_of README.zh-CN.md); then
    echo 'README.md and README.zh-CN.md show different files' >&2
    exit 1
fi
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}" CARGO_INSTALL_ROOT="$work/installed"
export PATH="$work/installed/bin:$PATH"
# What the commands build is looked at, not measured, so it is built as the tests are: an optimised build would take most
# of this script's time.
export CARGO_ALIAS_DEMO='run --features full -- demo'

# Starts a server, and waits until its port answers. The command itself may have to be built first.
start() {
    local port=$1 folder=$2 command=$3
    if curl -s -o "$work/out" "http://127.0.0.1:$port/"; then
        echo "port $port is taken: stop what listens there" >&2
        exit 1
    fi
    # exec, so that the signal to stop reaches the server itself.
    (cd "$folder" && exec $command) >"$work/log" 2>&1 &
    server=$!
    until curl -s -o "$work/out" "http://127.0.0.1:$port/"; do
        if ! kill -0 "$server" 2>/dev/null; then
            cat "$work/log" >&2
            exit 1
        fi
        sleep 0.2
    done
}

while read -r command <&3; do
    echo "+ $command"
    case $command in
    'cargo demo')
        cargo build --quiet --features full
        began=$SECONDS
        start 8080 "$root" "$command"
        [ $((SECONDS - began)) -lt 60 ] || { echo 'the demo took more than a minute to start' >&2; exit 1; }
        ;;
    'curl '*)
        (cd "$work" && eval "$command") >"$work/page"
        grep -q '爱丽丝🌸' "$work/page" || { cat "$work/page" >&2; exit 1; }
        ;;
    tests/all.sh)
        stop # This runs as a part of it.
        ;;
    'cargo install '*)
        $command --quiet --debug
        ;;
    'wxgate serve '*)
        start 8080 "$work" "$command"
        curl -s -o "$work/out" -w '%{redirect_url}' -H 'Host: h5.example.com' -H 'User-Agent: MicroMessenger/8' \
            http://127.0.0.1:8080/page | grep -q '^https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx0123456789abcdef&'
        stop
        ;;
    'wxgate keys list '*)
        (cd "$work" && $command) | grep -q ' seals '
        ;;
    'wxgate check')
        (cd "$work" && $command) | grep -q 'register 网页授权域名: h5.example.com'
        ;;
    *' -- simulator')
        cargo build --quiet --features full
        start 9090 "$root" "$command"
        simulator=$server
        server=
        ;;
    'cargo run --example '*)
        trap 'kill -INT "$simulator"; stop; rm -rf "$work"' EXIT
        cargo build --quiet --examples
        start 8080 "$root" "$command"
        curl -sL -c "$work/jar2" -b "$work/jar2" -H 'X-Simulator-User: alice' http://127.0.0.1:8080/me | grep -q '^hello wx0123456789abcdef:o'
        # It leaves SIGINT to the shell, and that ignores it for whatever it has started in the background.
        stop TERM
        ;;
    *)
        echo "nobody has said how to check: $command" >&2
        exit 1
        ;;
    esac
done 3< <(commands README.md)
echo 'every command of the READMEs works'
