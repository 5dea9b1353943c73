#!/usr/bin/env bash
# Other libraries to compare with, from PyPI, in an environment of their own: sourced by scripts that run them.
#
#   . scripts/python_peers.sh
#   python=$(python_peers)     the interpreter that has them; the first time they are installed, in about a minute
#
# Versions are pinned in tests/peers/requirements.txt. All of it lies in .cache/python_peers and can be deleted.

PEERS_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

python_peers() {
    local home="$PEERS_ROOT/.cache/python_peers" wanted="$PEERS_ROOT/tests/peers/requirements.txt"
    local python="$home/bin/python" tool
    if ! cmp -s "$wanted" "$home/installed.txt"; then
        if ! python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "peers: Python 3.11 or newer, with venv, is lacking" >&2
            return 1
        fi
        echo "peers: installing River, PySAD and dSalmon from PyPI into .cache/python_peers" >&2
        rm -rf "$home" && python3 -m venv "$home" >&2 || return
        tool="$python -m pip --quiet --disable-pip-version-check install"
        # dSalmon 0.1 comes as source; it is built with the numpy that it will run with, by older tools.
        $tool --only-binary :all: --requirement "$wanted" >&2 || return
        $tool "setuptools==59.8.0" "wheel==0.48.0" >&2 || return
        echo "peers: building dSalmon, in C++" >&2
        $tool --no-build-isolation --no-deps "dSalmon==0.1" >&2 || return
        cp "$wanted" "$home/installed.txt"
    fi
    echo "$python"
}
