#!/usr/bin/env bash
# Install a package that `make deb` built in a clean Debian root and use it there, as a person who
# isn't root: `make prove-deb`. Needs root and debootstrap; the root is removed afterwards.
#
#   tools/prove-deb.sh dist/lifelog-lake_0.1.0-1_amd64.deb
set -euo pipefail
deb=$(realpath "${1:?a package}")
read -r distribution release < <(. /etc/os-release && echo "$ID $VERSION_CODENAME")
case $distribution in
ubuntu) mirror=http://archive.ubuntu.com/ubuntu components=main,universe ;;
*) mirror=http://deb.debian.org/debian components=main ;;
esac
root=$(mktemp -d)
chmod 755 "$root"
mounted=()
clean() {
    for place in "${mounted[@]}"; do umount "$place"; done
    rm -rf --one-file-system "$root"
}
trap clean EXIT
say() { echo "== $*" >&2; }

say "A clean root of $release"
debootstrap --variant=minbase --components="$components" "$release" "$root" "$mirror" >"$root.log" \
    || { tail -n 20 "$root.log" >&2; exit 1; }
rm "$root.log"
for place in proc dev; do
    mount --bind "/$place" "$root/$place"
    mounted+=("$root/$place")
done
within() { chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root \
    DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
person() { within setpriv --reuid=ada --regid=ada --init-groups env HOME=/home/ada \
    LIFELOG_COLLECTORS__SCREEN__ENABLED="${SCREEN:-false}" "$@"; }

say "Installed with what it depends on, nothing else"
cp "$deb" "$root/package.deb"
within apt-get -qq update
within apt-get -qq install -y --no-install-recommends /package.deb >/dev/null
within dpkg --verify "$(dpkg-deb -f "$deb" Package)"
within useradd --create-home ada

say "Its units"
within find /usr/lib -path "*/systemd/*lifelog*" -o -path "*/sysusers.d/lifelog*"
say "Used"
person lifelog --version
person lifelog init
person lifelog doctor
person lifelog verify
person lifelog install --no-start
person test -f /home/ada/.config/systemd/user/lifelog.service
SCREEN=true person lifelog doctor | grep -A1 'screen' # there is none: it says so
person lifelog uninstall
if [ -e "$root/usr/lib/systemd/system/lifelog-hub.service" ]; then
    within systemctl enable lifelog-hub
fi
say "Removed without a trace in /usr"
within apt-get -qq purge -y "$(dpkg-deb -f "$deb" Package)" >/dev/null
test ! -e "$root/usr/lib/lifelog-lake"
test -d "$root/home/ada/.local/share/lifelog/lake"
test ! -e "$root/etc/systemd/system/multi-user.target.wants/lifelog-hub.service"
say "All of it"
