#!/usr/bin/env bash
# runner.sh - install gitlab-runner on this host and register it (shell executor) with RUNNER_URL and RUNNER_TOKEN.
set -euo pipefail

die() { echo "runner: $*" >&2; exit 1; }
[ -n "${RUNNER_URL:-}" ] || die "RUNNER_URL is not set, e.g. RUNNER_URL=https://gitlab.example.org/"
[ -n "${RUNNER_TOKEN:-}" ] || die "RUNNER_TOKEN is not set: the token that GitLab shows for a new runner"
[ "$(id -u)" = 0 ] || die "root is needed: sudo --preserve-env=RUNNER_URL,RUNNER_TOKEN make runner"

if ! command -v gitlab-runner >/dev/null; then
  "$(dirname "$0")/debian-packages.sh" ca-certificates curl git
  package=$(mktemp --suffix=.deb); trap 'rm -f "$package"' EXIT
  arch=$(dpkg --print-architecture)
  echo "runner: fetching gitlab-runner ($arch)"
  downloads=https://s3.dualstack.us-east-1.amazonaws.com/gitlab-runner-downloads/latest/deb
  curl -fsSL -o "$package" "$downloads/gitlab-runner_$arch.deb" \
    || die "gitlab-runner could not be fetched"
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y "$package" >/dev/null \
    || die "gitlab-runner could not be installed"
fi
# The token goes through the environment, never on a command line.
export CI_SERVER_URL=$RUNNER_URL CI_SERVER_TOKEN=$RUNNER_TOKEN
gitlab-runner register --non-interactive --executor shell --name "rwm-$(hostname)" \
  || die "the runner could not be registered with $RUNNER_URL"
echo "runner: registered; jobs run as user gitlab-runner," \
  "which needs sudo (or fuse and the packages of make install-dev)"
