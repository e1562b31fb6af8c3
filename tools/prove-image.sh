#!/usr/bin/env bash
# Build deploy/Containerfile and run the hub as deploy/compose.yaml does: not root, on a read-only
# root, without capabilities. `make prove-image` runs this; it needs podman and curl, and takes some
# minutes and 4 GB.
#
#   PODMAN="podman --runtime runc" tools/prove-image.sh    # another engine, or its options
#
# Where no registry can be reached, the base image is made by debootstrap from the same release of
# Debian (as root). Authorities in /usr/local/share/ca-certificates are trusted while building.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

read -ra podman <<<"${PODMAN:-podman}"
base=$(awk '/^FROM/ { print $2; exit }' deploy/Containerfile)
image=lifelog-lake:proof
name="lifelog-proof-$$"
limits=(--ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit nproc=4096:4096)
work=$(mktemp -d)
say() { echo "== $*" >&2; }
clean() {
    "${podman[@]}" rm --force --volumes "$name" >/dev/null 2>&1 || true
    "${podman[@]}" volume rm --force "$name" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

if ! "${podman[@]}" image exists "$base" && ! "${podman[@]}" pull --quiet "$base"; then
    say "No registry: $base from debootstrap"
    debootstrap --variant=minbase bookworm "$work/root" http://deb.debian.org/debian >"$work/log" \
        || { tail -n 20 "$work/log" >&2; exit 1; }
    tar -C "$work/root" -c . | "${podman[@]}" import - "$base" >/dev/null
fi

authorities=()
if [ -n "$(ls -A /usr/local/share/ca-certificates 2>/dev/null)" ]; then
    authorities=(--volume /usr/local/share/ca-certificates:/usr/local/share/ca-certificates:ro)
fi
say "Building"
"${podman[@]}" build --quiet --format docker --pull=never --network host "${limits[@]}" \
    "${authorities[@]}" --tag "$image" --file deploy/Containerfile .

say "Starting"
"${podman[@]}" run --detach --name "$name" "${limits[@]}" \
    --read-only --read-only-tmpfs=false --tmpfs /tmp:mode=1777,size=512m --user 10001:10001 \
    --cap-drop all --security-opt no-new-privileges --volume "$name:/data" --network host \
    --env ADMIN_PASSWORD=proof-of-the-image "$image" up --no-browser --port 8899 >/dev/null
within() { "${podman[@]}" exec "$name" "$@"; }
for _ in $(seq 120); do
    within python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8899/api', timeout=8)" \
        2>/dev/null && break
    sleep 1
done

say "It answers, to nobody without a login"
curl --silent --show-error --fail http://127.0.0.1:8899/api && echo
test "$(curl --silent --output /dev/null --write-out '%{http_code}' \
    http://127.0.0.1:8899/lifelog/api/lake)" = 403
say "Not root, and its root can't be written"
test "$(within id -u)" = 10001
if within touch /here /opt/lifelog-lake/here /usr/here 2>/dev/null; then exit 1; fi
say "Doctor, status, verify"
within lifelog doctor
within lifelog status
within lifelog verify
say "It ends when it is told to"
"${podman[@]}" stop --time 20 "$name" >/dev/null
test "$("${podman[@]}" inspect --format '{{.State.ExitCode}}' "$name")" = 0
"${podman[@]}" logs "$name" | grep -F "Stopped."
"${podman[@]}" image inspect --format 'The image: {{.Size}} bytes' "$image"
