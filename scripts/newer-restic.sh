#!/usr/bin/env bash
# newer-restic.sh DIR - put the restic of Debian 13 into DIR, for tests; prints nothing if it is there.
#
# It is fetched from the mirror of this host's apt, with its proxy and credentials, and must be signed by Debian. apt
# uses its own configuration in a temporary folder, so the apt and the packages of the host stay unchanged.
# Environment:
#   RESTIC_CURRENT=FILE   use this restic instead
#   RESTIC_CURRENT=       use none: the tests that need it fail
set -euo pipefail
export LC_ALL=C

SUITE=trixie
MINIMUM=0.18
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

DIR=$1
HINT="make RESTIC_CURRENT=FILE ... uses a restic of yours; with RESTIC_CURRENT= there is none, and its tests fail"
die() { printf 'newer-restic: %s\n  %s\n' "$1" "${2:-$HINT}" >&2; exit 1; }

# version FILE: the version of a restic, nothing if it is not one
version() { "$1" version 2>/dev/null </dev/null | sed -n 's/^restic \([0-9][0-9.]*\).*/\1/p' || true; }
# new_enough FILE: whether it runs and is MINIMUM or newer
new_enough() {
  local found; found=$(version "$1")
  [ -n "$found" ] && printf '%s\n' "$MINIMUM" "$found" | sort -VC
}
# put FILE: install it atomically, with the current time, which make compares
put() {
  new_enough "$1" || die "$1 is not a restic of $MINIMUM or newer that runs on this host"
  mkdir -p "$DIR"
  install -m 755 "$1" "$DIR/.restic.$$" && mv -f "$DIR/.restic.$$" "$DIR/restic"
  echo "make: $DIR/restic is restic $(version "$DIR/restic")"
}

if [ -n "${RESTIC_CURRENT+set}" ]; then
  [ -n "$RESTIC_CURRENT" ] || { echo "make: warning: no current restic, as requested; its tests fail" >&2; exit 0; }
  put "$(readlink -f "$RESTIC_CURRENT")"
  exit 0
fi
if new_enough "$DIR/restic"; then touch "$DIR/restic"; exit 0; fi

for program in apt-get apt-config dpkg; do
  command -v $program >/dev/null || die "$program not found: only a Debian system can fetch restic of Debian 13"
done
[ -r "$KEYRING" ] || die "no $KEYRING" "apt-get install debian-archive-keyring"
# The mirrors of the host's own release, as apt reads them from its sources.
mapfile -t mirrors < <(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
  'Created-By: Packages' | awk '$3 == "main" && $2 !~ "[-/]" && !seen[$1]++ { print $1 }')
[ ${#mirrors[@]} -gt 0 ] || die "apt on this host has no source of a Debian release"

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
chmod 711 "$work"   # apt downloads as another user
mkdir -p "$work"/{state/lists/partial,cache/archives/partial,package}
touch "$work"/{status,apt.conf}
chmod 600 "$work/apt.conf"   # it may contain the password of a proxy
chown _apt "$work/package" 2>/dev/null || true
apt-config dump | grep '^Acquire::' | grep -v '^Acquire::\(IndexTargets\|Languages\|Allow\)' >"$work/apt.conf" || true
cat >>"$work/apt.conf" <<CONF
Dir::State "$work/state";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::sourcelist "$work/sources.list";
Acquire::Languages "none";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
CONF

# fetch MIRROR: download the package into $work/package
fetch() {
  echo "deb [arch=$(dpkg --print-architecture) signed-by=$KEYRING] $1 $SUITE main" >"$work/sources.list"
  chmod 600 "$work/sources.list"
  (
    cd "$work/package"
    export APT_CONFIG=$work/apt.conf
    apt-get update -q --error-on=any && apt-get download -q restic
  ) >"$work/log" 2>&1 </dev/null
}

echo "make: fetching restic of Debian 13 for tests (about 20 MB)"
why=""
for mirror in "${mirrors[@]}"; do
  if fetch "$mirror"; then
    dpkg -x "$work"/package/restic_*.deb "$work/unpacked"
    put "$work/unpacked/usr/bin/restic"
    exit 0
  fi
  why=${why:-"$mirror: $(sed -n 's/^[EW]: //p' "$work/log" | head -n 1)"}
done
die "no restic of Debian 13 from $(sed 's#//[^/@]*@#//#g' <<<"$why")"
