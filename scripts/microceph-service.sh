#!/usr/bin/env bash
# microceph-service.sh - a permanent test service: MicroCeph (snap) with an S3 gateway and users admin, user1 and user2.
#
# Environment: PORT=80 of the gateway, OSD=4G size of the loop-file disk.
# Hosts without snap: `make rgw-up` starts a gateway from Debian's own packages.
set -euo pipefail

PORT=${PORT:-80} OSD=${OSD:-4G}
die() { echo "microceph-service: $*" >&2; exit 1; }
command -v snap >/dev/null || die "snap is not installed on this host; make rgw-up starts a Ceph gateway without it"
[ "$(id -u)" = 0 ] || die "root is needed: sudo make microceph-service"

snap list microceph >/dev/null 2>&1 || snap install microceph
snap refresh --hold microceph
# A link left by ceph-common, which fails after a reboot: the snap keeps its configuration elsewhere.
[ ! -L /etc/ceph ] || rm -f /etc/ceph

microceph status >/dev/null 2>&1 || microceph cluster bootstrap
microceph.ceph osd stat | grep -q ' 1 up' || microceph disk add "loop,$OSD,1"
microceph.ceph config set global osd_pool_default_size 1
microceph.ceph config set global mon_allow_pool_size_one true
microceph status | grep -q rgw || microceph enable rgw --port "$PORT"

for user in admin user1 user2; do
  microceph.radosgw-admin user info --uid "$user" >/dev/null 2>&1 \
    || microceph.radosgw-admin user create --uid "$user" --display-name "$user" >/dev/null
done
echo "microceph-service: gateway on http://127.0.0.1:$PORT; keys: microceph.radosgw-admin user info --uid admin"
