#!/usr/bin/env bash
# To be sourced: Python environments of what we are compared with, each with its packages pinned.

# need_python_env NAME PACKAGE==VERSION...: makes .cache/python/NAME unless it has these packages, and prints its
# interpreter's path.
need_python_env() {
    local folder=".cache/python/$1" wanted
    shift
    wanted=$(printf '%s\n' "$@")
    if [ "$(cat "$folder/packages.txt" 2>/dev/null)" != "$wanted" ]; then
        command -v python3 >/dev/null 2>&1 || {
            echo "python3 is lacking: please install it, with its venv module" >&2
            return 1
        }
        echo "installing $* into $folder" >&2
        rm -rf "$folder"
        python3 -m venv "$folder" >&2 || return
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2 || return
        printf '%s\n' "$wanted" >"$folder/packages.txt"
    fi
    printf '%s\n' "$folder/bin/python"
}
