#!/bin/sh
# Print the path of a Python 3.11 or newer that starts, newest first.
# PYTHON=/path/to/python names one instead; then only that one is looked at.
set -eu

try() {
    "$1" -c 'import sys
if sys.version_info < (3, 11): raise SystemExit(1)
print(sys.executable)' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
    try "$PYTHON" && exit 0
    echo "PYTHON=$PYTHON does not start, or is older than 3.11." >&2
    exit 1
fi

# `command -v` finds shims that don't start (pyenv's); only running one tells.
for name in python3.14 python3.13 python3.12 python3.11 python3; do
    try "$name" && exit 0
done

{
    echo "No Python 3.11 or newer was found."
    echo "Install one (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv),"
    echo "or name it: make setup PYTHON=/path/to/python3.12"
} >&2
exit 1
