#!/usr/bin/env bash
# Build a Debian package into dist/: tools/build-deb.sh device|hub (`make deb` builds both).
#
#   lifelog-lake       records: the extra device
#   lifelog-lake-hub   that, and the pages and flows: device and hub
#
# /usr/lib/lifelog-lake is a virtual environment of the system's Python with the pinned wheels
# (requirements/*.txt, by hash) and our own. It belongs to that Python's minor version, so the
# package depends on it: build on the release of Debian or Ubuntu that it is for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

role=${1:?device or hub}
case $role in
device) package=lifelog-lake other=lifelog-lake-hub extras=device files=(device) ;;
hub) package=lifelog-lake-hub other=lifelog-lake extras=device,hub files=(device hub) ;;
*) echo "usage: $0 device|hub" >&2; exit 2 ;;
esac
for program in dpkg-deb fakeroot lintian; do
    command -v "$program" >/dev/null || {
        echo "Type: sudo apt-get install dpkg-dev fakeroot lintian" >&2
        exit 1
    }
done

uv=.venv/bin/uv
python=/usr/bin/python3
version=$(.venv/bin/python -c 'import lifelog_lake; print(lifelog_lake.__version__)')
minor=$("$python" -c 'import sys; print(sys.version_info[1])')
[ "$minor" -ge 11 ] || { echo "$python is older than 3.11." >&2; exit 1; }
architecture=$(dpkg --print-architecture)
# What was committed last dates all files, so that the same commit gives the same package.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH

build=build/deb/$package
tree=$build/tree
lib=$tree/usr/lib/lifelog-lake
rm -rf "$build"
install -d "$tree/DEBIAN" "$tree/usr/bin" "$tree/usr/lib" "$tree/usr/share/man/man1" \
    "$tree/usr/share/lintian/overrides" "$tree/usr/lib/systemd/user"

echo "$package: the environment" >&2
.venv/bin/python -m hatchling build --target wheel --directory "$PWD/$build" >/dev/null
"$uv" venv --quiet --no-project --relocatable --python "$python" "$lib"
pins=()
for file in "${files[@]}"; do pins+=(-r "requirements/$file.txt"); done
install_into=("$uv" pip install --quiet --python "$lib" --link-mode copy --compile-bytecode)
"${install_into[@]}" --require-hashes "${pins[@]}"
"${install_into[@]}" --no-deps "lifelog-lake[$extras] @ file://$PWD/$build/lifelog_lake-$version-py3-none-any.whl"
"$uv" pip check --quiet --python "$lib"
find "$lib" '(' -name .lock -o -name .gitignore ')' -delete
# The environment's own commands name the directory that they were made in; python -m doesn't.
find "$lib/bin" -mindepth 1 -not -name 'python*' -delete
ln -sfn "../../../bin/python3.$minor" "$lib/bin/python"
printf '#!/bin/sh\nexec /usr/lib/lifelog-lake/bin/python -P -m lifelog_lake "$@"\n' >"$tree/usr/bin/lifelog"
chmod 755 "$tree/usr/bin/lifelog"
# Nothing in it may name the directory that it was built in.
sed -i "s|$PWD/$tree||g" "$lib/pyvenv.cfg"
find "$lib" -name direct_url.json -delete
if grep -lF "$PWD" "$lib/pyvenv.cfg"; then
    echo "It names this directory." >&2
    exit 1
fi

echo "$package: units and papers" >&2
.venv/bin/python - "$tree" "$role" <<'PYTHON'
import sys
from pathlib import Path

from lifelog_lake.fleet import systemd
from lifelog_lake.fleet.service import WHAT, fill

tree, role = Path(sys.argv[1]), sys.argv[2]
python = "/usr/lib/lifelog-lake/bin/python -m lifelog_lake"
user = fill(f"systemd/{systemd.UNIT}", {
    "description": WHAT["device"], "target": systemd.SESSION, "home": "%h",
    "limits": systemd.LIMITS["device"], "command": f"{python} collect",
})
(tree / "usr/lib/systemd/user" / systemd.UNIT).write_text(user)
if role == "hub":
    home = str(systemd.HUB_HOME)
    unit = fill(f"systemd/{systemd.HUB_UNIT}", {
        "description": WHAT["hub"], "home": home, "home_variable": f"LIFELOG_HOME={home}",
        "limits": systemd.LIMITS["hub"], "command": f"{python} --home {home} up --no-browser",
    })
    for name, text in {
        f"usr/lib/systemd/system/{systemd.HUB_UNIT}": unit,
        "usr/lib/sysusers.d/lifelog-lake.conf": fill("systemd/lifelog-sysusers.conf", {}),
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
PYTHON
sed -i 's/^# Written by `lifelog install.*/# Of the package; `lifelog install` writes one of your own, which goes first./' \
    "$tree"/usr/lib/systemd/*/lifelog*.service
papers=$tree/usr/share/doc/$package
install -d "$papers"
install -m 644 deploy/packages/debian/copyright "$papers/copyright"
gzip -9nc CHANGELOG.md >"$papers/changelog.gz"
printf '%s (%s-1) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' "$package" \
    "$version" "lifelog_lake <lifelog-lake@users.noreply.github.com>" \
    "$(LC_ALL=C date -uRd "@$SOURCE_DATE_EPOCH")" | gzip -9nc >"$papers/changelog.Debian.gz"
gzip -9nc deploy/packages/debian/lifelog.1 >"$tree/usr/share/man/man1/lifelog.1.gz"
sed "s/^PACKAGE/$package/" deploy/packages/debian/lintian-overrides \
    >"$tree/usr/share/lintian/overrides/$package"

depends="python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), libc6 (>= 2.28), libportaudio2"
recommends="libasound2-plugins"
provides=
if [ "$role" = hub ]; then
    recommends="$recommends, caddy | httpd, tesseract-ocr-eng"
    provides="Provides: lifelog-lake (= $version-1)"
    depends="$depends, systemd | systemd-standalone-sysusers"
    for script in postinst prerm postrm; do
        install -m 755 "deploy/packages/debian/hub.$script" "$tree/DEBIAN/$script"
    done
fi
cat >"$tree/DEBIAN/control" <<CONTROL
Package: $package
Version: $version-1
Architecture: $architecture
Section: utils
Priority: optional
Maintainer: lifelog_lake <lifelog-lake@users.noreply.github.com>
Installed-Size: $(du -sk --apparent-size "$tree/usr" | cut -f1)
Depends: $depends
Recommends: $recommends
Conflicts: $other
Replaces: $other
$provides
Description: $(sed -n "s/^$role: //p" deploy/packages/debian/descriptions)
$(sed -n "/^$role:/,/^$/p" deploy/packages/debian/descriptions | sed '1d;/^$/d;s/^/ /')
CONTROL
sed -i '/^$/d' "$tree/DEBIAN/control"

find "$tree" -type d -exec chmod 755 {} +
find "$tree/usr" -type f -exec chmod 644 {} +
chmod 755 "$tree/usr/bin/lifelog"
(cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -not -name '*.py' -not -name '*.pyc' \
    -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mkdir -p dist
deb=dist/${package}_${version}-1_${architecture}.deb
fakeroot dpkg-deb --root-owner-group -Zxz -z1 --build "$tree" "$deb" >&2
echo "$package: lintian" >&2
lintian --allow-root --fail-on error,warning --tag-display-limit 0 "$deb"
echo "$deb"
