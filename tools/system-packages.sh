#!/bin/sh
# See that the system packages for a job are there: tools/system-packages.sh setup|test
#
# On Debian and Ubuntu what is missing is installed, if that needs no password
# (root, or sudo without one). Otherwise the exact line to type is printed and
# the job goes on: a test that lacks a package is skipped by name, and fails
# under CI=true. LIFELOG_SYSTEM_PACKAGES=no only prints.
set -eu

case "${1:-}" in
setup)
    # Nothing but what makes a virtual environment, and only if this Python can't.
    python=$("$(dirname "$0")/find-python.sh" 2>/dev/null) || python=
    if [ -z "$python" ]; then
        wanted="python3 python3-venv"
    elif "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        exit 0
    else
        wanted="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    fi
    ;;
test)
    # A screen, letters to show on it, a sound server and a voice, what checks service files, and
    # a real browser: any Chromium or Chrome will do.
    wanted="xvfb x11-xserver-utils fonts-dejavu libportaudio2 libasound2-plugins pulseaudio"
    wanted="$wanted pulseaudio-utils espeak-ng systemd libxml2-utils tesseract-ocr-eng"
    browser=chromium
    if grep -qs '^ID=ubuntu$' /etc/os-release; then browser=chromium-browser; fi
    for program in chromium chromium-browser google-chrome-stable google-chrome; do
        if command -v "$program" >/dev/null 2>&1; then browser=; fi
    done
    wanted="$wanted $browser"
    ;;
*)
    echo "usage: $0 setup|test" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    absent=
    for program in Xvfb chromium pulseaudio espeak-ng; do
        command -v "$program" >/dev/null 2>&1 || absent="$absent $program"
    done
    if [ "$1" = setup ]; then
        echo "Not Debian or Ubuntu: Python 3.11 or newer with venv and pip has to be there." >&2
    elif [ -n "$absent" ]; then
        echo "Not Debian or Ubuntu: for all tests, install what provides:$absent" >&2
    fi
    exit 0
fi

# A reverse proxy to test the hub behind: the program alone, in .venv. Its package would start a
# service on port 80.
fetch_caddy() {
    [ "$1" = test ] && [ "${LIFELOG_SYSTEM_PACKAGES:-yes}" != no ] && [ -d .venv ] || return 0
    if command -v caddy >/dev/null 2>&1 || [ -x .venv/caddy/usr/bin/caddy ]; then return 0; fi
    (
        cd .venv
        apt-get -qq download caddy >/dev/null 2>&1
        dpkg-deb -x caddy_*.deb caddy
        rm -f caddy_*.deb
    ) || echo "caddy could not be fetched: one test of the reverse proxy is left out." >&2
}

missing=
for package in $wanted; do
    # shellcheck disable=SC2016
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=absent
    [ "$state" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
    fetch_caddy "$1"
    exit 0
fi

if [ "$(id -u)" = 0 ]; then
    as_root="env"
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n env"
else
    as_root=
fi

say_line() {
    echo "$1 To have them, type:" >&2
    echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
}

if [ -z "$as_root" ] || [ "${LIFELOG_SYSTEM_PACKAGES:-yes}" = no ]; then
    say_line "Missing system packages:$missing."
    exit 0
fi

echo "Installing system packages:$missing" >&2
apt() {
    # shellcheck disable=SC2086
    $as_root DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null >&2
}
apt update || echo "apt-get update failed; going on with the lists at hand." >&2
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing ||
    say_line "apt-get could not install:$missing."
fetch_caddy "$1"
