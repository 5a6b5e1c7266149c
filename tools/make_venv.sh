#!/bin/sh
# Make .venv with the package installed in editable mode: make_venv.sh run | dev
# "run" installs what the application needs, "dev" also the tools of the test and lint groups.
# A stamp per kind holds the checksum of the declared dependencies, so that a second run is instant.
set -eu
cd "$(dirname "$0")/.."
kind=${1:?usage: make_venv.sh run|dev}
venv=.venv
stamp=$venv/.installed-$kind
say() { printf '%s\n' "$*" >&2; }

declared=$(sed -n '1,/^\[tool\./p' pyproject.toml | cksum)
python_ok='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'

if ! "$venv/bin/python" -c "$python_ok" >/dev/null 2>&1; then
    found=
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c "$python_ok" >/dev/null 2>&1; then
            found=$candidate
            break
        fi
    done
    if [ -z "$found" ]; then
        say "Python 3.11 or newer with the venv module is needed; looked for python3 and python3.11 to python3.14."
        say "Found: $(python3 --version 2>&1 || echo 'no python3')."
        say "Install it (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python),"
        say "or name it: make PYTHON=/path/to/python3.12 ..."
        exit 1
    fi
    say "Making .venv with $("$found" --version 2>&1)"
    rm -rf "$venv"
    "$found" -m venv "$venv"
fi

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$declared" ]; then
    exit 0
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
case $kind in
run)
    say "Installing the package and what it needs (once)"
    pip install --editable .
    ;;
dev)
    say "Installing the package and the developer's tools (once)"
    # Dependency groups need pip 25.1, newer than what some Pythons bring along.
    pip install --upgrade "pip>=25.1"
    pip install --editable . --group dev
    printf '%s\n' "$declared" >"$venv/.installed-run"
    ;;
*)
    say "make_venv.sh: unknown kind '$kind': run or dev"
    exit 2
    ;;
esac
printf '%s\n' "$declared" >"$stamp"
