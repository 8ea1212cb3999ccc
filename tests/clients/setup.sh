#!/bin/sh
# Makes target/clients: the pinned third-party clients that tests/it/third_party.rs runs.
# Safe to run again: it does nothing when the pins have not changed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
clients=${CARGO_TARGET_DIR:-$here/../../target}/clients

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

missing=
command -v node >/dev/null || missing="$missing nodejs"
command -v npm >/dev/null || missing="$missing npm"
# Debian ships Python without the part of venv that installs pip.
python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
if [ -n "$missing" ]; then
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of package names
    as_root apt-get install -y -qq --no-install-recommends $missing
fi

mkdir -p "$clients"
clients=$(cd "$clients" && pwd)
pins=$(cat "$here/requirements.txt" "$here/package-lock.json")
if [ "$(cat "$clients/.pins" 2>/dev/null)" = "$pins" ]; then
    exit 0
fi

python3 -m venv "$clients/python"
# Not its pip command, which goes on to name the folder that it was first made in when the target directory is copied.
"$clients/python/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
cp "$here/package.json" "$here/package-lock.json" "$clients"
npm ci --prefix "$clients" --no-audit --no-fund --loglevel=error
printf '%s' "$pins" >"$clients/.pins"
