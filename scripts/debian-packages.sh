#!/usr/bin/env bash
# debian-packages.sh PACKAGE... - install the missing ones of these Debian packages; prints nothing if none is missing.
set -euo pipefail

command -v dpkg-query >/dev/null \
  || { echo "debian-packages: not a Debian system; install by hand: $*" >&2; exit 0; }
missing=()
for package in "$@"; do
  dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null \
    || { echo "debian-packages: root or sudo is needed to install: ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
log=$(mktemp); trap 'rm -f "$log"' EXIT
# quiet COMMAND...: run it, and print its output only if it fails
quiet() {
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 </dev/null \
    || { cat "$log" >&2; echo "debian-packages: $* failed" >&2; exit 1; }
}
echo "make: installing Debian packages: ${missing[*]}"
if [ ${#sudo[@]} -gt 0 ]; then sudo -v; fi   # asks for the password while the terminal is free
quiet apt-get update -q
quiet apt-get install -q -y --no-install-recommends "${missing[@]}"
