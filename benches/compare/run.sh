#!/usr/bin/env bash
# Compares wxgate with its peers, side by side in one run: benches/compare/run.sh [--quick] [--help for the rest]
#
# Installs what is missing on a Debian machine, and builds wxgate as it is released, unless --binary PATH names one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

. tests/need.sh

# Servers are in folders that not everybody searches.
PATH=$PATH:/usr/sbin:/sbin
need cc gcc python3 python3 openssl openssl wrk wrk h2load nghttp2-client nginx nginx haproxy haproxy caddy caddy \
    redis-server redis-server apache2 apache2 taskset util-linux
[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] || need no-such-command libapache2-mod-auth-openidc

binary=
for argument in "$@"; do
    case $argument in
        --binary | --binary=* | -h | --help) binary=given ;;
    esac
done
target=${CARGO_TARGET_DIR:-target}
if [ -z "$binary" ]; then
    cargo build --release --features full
    set -- --binary "$target/release/wxgate" "$@"
fi
# Apart from wxgate, whose libraries would otherwise be built with what the examples need of them.
cargo build --release --example constant --example steady --example logins
exec python3 -B "$here/compare.py" --examples "$target/release/examples" "$@"
