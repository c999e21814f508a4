#!/usr/bin/env bash
# newer-restic.sh DIR - put the restic of Debian 13 into DIR, for tests beside the system's; silent when one is there.
#
# It comes from the mirror, through the proxy and with the credentials that this host's apt is set to, and only signed
# by Debian. apt works in a temporary folder with a configuration of its own: the host's apt and packages stay as they are.
# Environment:
#   RESTIC_CURRENT=FILE   take this restic instead, where no mirror has one
#   RESTIC_CURRENT=       do without one: the tests that need it will fail
set -euo pipefail
export LC_ALL=C

SUITE=trixie
LEAST=0.18
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

DIR=$1
HINT="make RESTIC_CURRENT=FILE ... takes a restic that you have; RESTIC_CURRENT= does without, and its tests fail"
die() { printf 'newer-restic: %s\n  %s\n' "$1" "${2:-$HINT}" >&2; exit 1; }

# version FILE: the version of a restic, nothing for what is none
version() { "$1" version 2>/dev/null </dev/null | sed -n 's/^restic \([0-9][0-9.]*\).*/\1/p' || true; }
# new_enough FILE: it runs, and is LEAST or newer
new_enough() {
  local found; found=$(version "$1")
  [ -n "$found" ] && printf '%s\n' "$LEAST" "$found" | sort -VC
}
# put FILE: into its place in one step, and with the time of now, which make looks at
put() {
  new_enough "$1" || die "$1 is no restic of $LEAST or newer that runs here"
  mkdir -p "$DIR"
  install -m 755 "$1" "$DIR/.restic.$$" && mv -f "$DIR/.restic.$$" "$DIR/restic"
  echo "make: $DIR/restic is restic $(version "$DIR/restic")"
}

if [ -n "${RESTIC_CURRENT+set}" ]; then
  [ -n "$RESTIC_CURRENT" ] || { echo "make: warning: no current restic, as asked for; its tests will fail" >&2; exit 0; }
  put "$(readlink -f "$RESTIC_CURRENT")"
  exit 0
fi
if new_enough "$DIR/restic"; then touch "$DIR/restic"; exit 0; fi

for program in apt-get apt-config dpkg; do
  command -v $program >/dev/null || die "$program not found: only a Debian system can fetch restic of Debian 13"
done
[ -r "$KEYRING" ] || die "no $KEYRING" "apt-get install debian-archive-keyring"
# Where the host has its own release from: apt reads its sources, in whichever form they are.
mapfile -t mirrors < <(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
  'Created-By: Packages' | awk '$3 == "main" && $2 !~ "[-/]" && !seen[$1]++ { print $1 }')
[ ${#mirrors[@]} -gt 0 ] || die "apt on this host has no source of a Debian release"

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
chmod 711 "$work"   # apt fetches as a user of its own
mkdir -p "$work"/{state/lists/partial,cache/archives/partial,package}
touch "$work"/{status,apt.conf}
chmod 600 "$work/apt.conf"   # a proxy's password may be in it
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

# fetch MIRROR: the package, into $work/package
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
