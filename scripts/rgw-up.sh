#!/usr/bin/env bash
# rgw-up.sh - start a throw-away single-node Ceph cluster with an S3 gateway (RGW), all on 127.0.0.1.
#
#   rgw-up.sh [DIR] [PORT]        (defaults: rwm-rgw in the temporary folder, 17480)
#
# Needs (Debian 12): apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common   (16.2.15)
# Environment:
#   STORE=bluestore|memstore  osd backend (bluestore: sparse file, survives restarts; memstore: RAM, always fresh)
#   FRESH=1                   wipe DIR first (only a DIR that this script made)
#   OSD_GB=10                 size of the (sparse) bluestore file / the memstore, in GiB
#   MGR=1                     also run ceph-mgr (package ceph-mgr); not needed for S3
#   EXTRA_CONF=FILE           lines for the [global] section of ceph.conf, e.g. "rgw lc debug interval = 10"
# Ports: PORT = S3; PORT+1 = mon; PORT+2..PORT+31 = osd and mgr.
# Idempotent: running and serving -> does nothing; stopped (bluestore) -> restarts with its data.
# Users: admin, user1 and user2 without a tenant, admin and user1 of the tenant t1.
# Afterwards DIR/env.sh holds endpoint and keys (RGW_USER1_KEY, RGW_T1_USER1_SECRET, ...), and DIR/ceph.conf works
# with ceph/rados/radosgw-admin -c. `make rgw-up` and `make rgw-down` call this pair of scripts.
set -euo pipefail

DIR=${1:-${TMPDIR:-/tmp}/rwm-rgw}
PORT=${2:-17480}
STORE=${STORE:-bluestore}
OSD_GB=${OSD_GB:-10}
MGR=${MGR:-0}
FRESH=${FRESH:-0}
IP=127.0.0.1
T0=$(date +%s%N)

# [tenant$]uid:access key:secret key (fixed, for tests only)
USERS=('admin:ADMINACCESSKEY000001:adminsecret0000000000000000000000000001'
       'user1:USER1ACCESSKEY000001:user1secret0000000000000000000000000001'
       'user2:USER2ACCESSKEY000001:user2secret0000000000000000000000000001'
       't1$admin:T1ADMINACCESSKEY0001:t1adminsecret00000000000000000000000001'
       't1$user1:T1USER1ACCESSKEY0001:t1user1secret00000000000000000000000001')

die()     { echo "rgw-up: $*" >&2; exit 1; }
elapsed() { local ms=$((($(date +%s%N) - T0) / 1000000)); printf '%d.%01d' $((ms / 1000)) $((ms % 1000 / 100)); }
say()     { echo "rgw-up: [$(elapsed) s] $*"; }
# wait_for SECONDS COMMAND...: until the command succeeds
wait_for() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done
}
# alive NAME BINARY: whether the pid in run/NAME.pid is BINARY, started with our ceph.conf
alive() {
  local pid; pid=$(cat "$DIR/run/$1.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  [ "$(basename "$(readlink "/proc/$pid/exe" 2>/dev/null)")" = "$2" ] || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF -- "$DIR/ceph.conf"
}
serving()  { curl -fsS -o /dev/null --noproxy '*' --max-time 2 "http://$IP:$PORT/"; }
portfree() { ! (exec 3<>"/dev/tcp/$IP/$1") 2>/dev/null; }
logtail()  { tail -n 15 "$DIR"/log/*.log >&2 2>/dev/null || true; }

for b in ceph ceph-mon ceph-osd monmaptool radosgw radosgw-admin curl; do
  command -v $b >/dev/null \
    || die "$b not found: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common curl"
done
case $STORE in bluestore|memstore) ;; *) die "STORE must be bluestore or memstore" ;; esac
mkdir -p "$DIR"; DIR=$(cd "$DIR" && pwd -P)
[ ${#DIR} -le 70 ] || die "DIR too long for unix sockets (107 characters): $DIR"
case $DIR in *[[:space:]]*) die "DIR must not contain white space" ;; esac
exec 9>"$DIR/.lock"; flock -w 120 9 || die "another rgw-up or rgw-down is running in $DIR"

CEPH=(ceph -c "$DIR/ceph.conf" --connect-timeout 20)
RGWADMIN=(radosgw-admin -c "$DIR/ceph.conf")

if [ "$FRESH" != 1 ] && alive mon ceph-mon && alive osd ceph-osd && alive rgw radosgw; then
  wait_for 20 serving && { say "already running: http://$IP:$PORT"; exit 0; }
fi
# An incomplete cluster, FRESH=1, or a memstore (its data is lost on exit): stop what runs and start anew.
"$(dirname "$(readlink -f "$0")")/rgw-down.sh" "$DIR" --locked >/dev/null
if [ "$FRESH" = 1 ] || [ ! -e "$DIR/ready" ] || [ "$(cat "$DIR/ready")" = memstore ]; then
  [ -z "$(ls -A "$DIR" | grep -vx .lock)" ] || [ -e "$DIR/.made-by-rgw-up" ] \
    || die "$DIR is not empty and was not made by rgw-up"
  find "$DIR" -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf {} +
  NEW=1
else
  NEW=0; STORE=$(cat "$DIR/ready")
fi
for p in "$PORT" $((PORT + 1)); do portfree "$p" || die "port $p is in use"; done
touch "$DIR/.made-by-rgw-up"
mkdir -p "$DIR"/{run,log,crash,mon,osd,mgr,rgw}
chmod 700 "$DIR"

if [ $NEW = 1 ]; then cat /proc/sys/kernel/random/uuid >"$DIR/fsid"; fi
FSID=$(cat "$DIR/fsid")
cat >"$DIR/ceph.conf" <<CONF
[global]
fsid = $FSID
mon host = [v2:$IP:$((PORT + 1))/0]
# Loopback only. With these addresses a daemon does not choose an interface.
public addr = $IP
cluster addr = $IP
ms bind port min = $((PORT + 2))
ms bind port max = $((PORT + 31))
ms bind msgr1 = false
ms bind ipv6 = false
# No cephx: only this machine can connect, and no keyrings are needed.
auth cluster required = none
auth service required = none
auth client required = none
# By default radosgw needs a secure mon connection, which does not exist without cephx: it would hang for 300 s.
ms mon client mode = crc
client mount timeout = 30
# Map changes (each pool creation is several) at once instead of once a second.
paxos propose interval = 0.05
paxos min wait = 0.02
run dir = $DIR/run
log file = $DIR/log/\$name.log
crash dir = $DIR/crash
mon cluster log file = $DIR/log/cluster.log
# One copy of everything on one osd, few placement groups.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
rgw rados pool pg num min = 4
osd crush chooseleaf type = 0
mon max pg per osd = 1000
mon allow pool size one = true
mon allow pool delete = true
mon warn on pool no redundancy = false
mon data avail warn = 2
mon data avail crit = 1
# Small, with a fast start.
osd objectstore = $STORE
osd memory target = 939524096
osd op num shards = 2
osd op num threads per shard = 2
bluestore block create = true
bluestore block size = $((OSD_GB << 30))
memstore device bytes = $((OSD_GB << 30))
osd mclock skip benchmark = true
osd max pg log entries = 500
osd min pg log entries = 100

$([ -z "${EXTRA_CONF:-}" ] || cat "$EXTRA_CONF")

[mon.a]
mon data = $DIR/mon/a
pid file = $DIR/run/mon.pid

[osd.0]
osd data = $DIR/osd/0
pid file = $DIR/run/osd.pid

[mgr.a]
mgr data = $DIR/mgr/a
pid file = $DIR/run/mgr.pid

[client.rgw]
rgw data = $DIR/rgw
pid file = $DIR/run/rgw.pid
rgw frontends = beast endpoint=$IP:$PORT
rgw enable apis = s3, admin
rgw thread pool size = 64
# As behind a proxy with TLS: keys of the client (SSE-C) are taken with requests that came through it.
rgw trust forwarded https = true
CONF
{ echo "# endpoint and keys of the test gateway"
  echo "export RGW_ENDPOINT=http://$IP:$PORT CEPH_CONF=$DIR/ceph.conf"
  for u in "${USERS[@]}"; do IFS=: read -r uid ak sk <<<"$u"
    name=${uid//\$/_}; name=${name^^}
    echo "export RGW_${name}_KEY=$ak RGW_${name}_SECRET=$sk"; done
} >"$DIR/env.sh"

# --- monitor -----------------------------------------------------------------------------------------
if [ $NEW = 1 ]; then
  mkdir -p "$DIR/mon/a"
  monmaptool --create --fsid "$FSID" --addv a "[v2:$IP:$((PORT + 1))/0]" --set-min-mon-release pacific \
    "$DIR/monmap" >/dev/null
  ceph-mon -c "$DIR/ceph.conf" -i a --mkfs --monmap "$DIR/monmap" 9>&- || { logtail; die "mon mkfs failed"; }
fi
ceph-mon -c "$DIR/ceph.conf" -i a 9>&- || { logtail; die "mon did not start"; }
wait_for 30 "${CEPH[@]}" quorum_status || { logtail; die "mon has no quorum"; }
say "mon up"

# --- osd ---------------------------------------------------------------------------------------------
if [ $NEW = 1 ]; then
  uuid=$(cat /proc/sys/kernel/random/uuid)
  mkdir -p "$DIR/osd/0"
  "${CEPH[@]}" osd new "$uuid" 0 >/dev/null 2>&1 || die "osd new failed"
  ceph-osd -c "$DIR/ceph.conf" -i 0 --mkfs --osd-uuid "$uuid" >"$DIR/log/osd-mkfs.out" 2>&1 9>&- \
    || { cat "$DIR/log/osd-mkfs.out" >&2; die "osd mkfs failed"; }
fi
ceph-osd -c "$DIR/ceph.conf" -i 0 >"$DIR/log/osd-start.out" 2>&1 9>&- \
  || { cat "$DIR/log/osd-start.out" >&2; logtail; die "osd did not start"; }
osd_up() { "${CEPH[@]}" osd stat | grep -q ' 1 up'; }
wait_for 40 osd_up || { logtail; die "osd did not come up"; }
say "osd up ($STORE)"

# --- mgr (optional) ----------------------------------------------------------------------------------
if [ "$MGR" = 1 ]; then
  mkdir -p "$DIR/mgr/a"
  ceph-mgr -c "$DIR/ceph.conf" -i a >"$DIR/log/mgr-start.out" 2>&1 9>&- || { logtail; die "mgr did not start"; }
fi

# --- users and gateway -------------------------------------------------------------------------------
mkuser() { # [tenant$]uid:access:secret
  local uid ak sk; IFS=: read -r uid ak sk <<<"$1"
  timeout 60 "${RGWADMIN[@]}" user create --uid="$uid" --display-name="$uid" --access-key="$ak" --secret-key="$sk" \
    >"$DIR/log/user-$uid.out" 2>&1 9>&- || { cat "$DIR/log/user-$uid.out" >&2; return 1; }
}
addclass() { # zonegroup|zone option...
  local of=$1; shift
  timeout 60 "${RGWADMIN[@]}" "$of" placement add --placement-id=default-placement --storage-class=COLD "$@" \
    >"$DIR/log/class-$of.out" 2>&1 9>&- || { cat "$DIR/log/class-$of.out" >&2; die "could not add a storage class"; }
}
if [ $NEW = 1 ]; then   # the first call also makes the default zone and its pools
  for u in "${USERS[@]}"; do mkuser "$u" || die "could not create user ${u%%:*}"; done
  say "users made"
  # A storage class of our own, in the usual pool: RGW has only STANDARD by default.
  addclass zonegroup --rgw-zonegroup=default
  addclass zone --rgw-zone=default --data-pool=default.rgw.buckets.data
fi
radosgw -c "$DIR/ceph.conf" -n client.rgw >"$DIR/log/rgw-start.out" 2>&1 9>&- \
  || { cat "$DIR/log/rgw-start.out" >&2; logtail; die "rgw did not start"; }
wait_for 60 serving || { logtail; die "rgw does not answer"; }
echo "$STORE" >"$DIR/ready"
say "serving http://$IP:$PORT (keys: $DIR/env.sh) after $(elapsed) s"
