#!/usr/bin/env bash
# Installs what is missing for a purpose, by Debian's packages: setup.sh demo|test|haproxy3. It does nothing, and needs neither root
# nor network, where everything is there.
set -euo pipefail

# has NAME: whether there is such a program. HAProxy is in /usr/sbin, which an ordinary user's PATH lacks.
has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

# has_postgres: whether a server can be made. Debian keeps its programs out of PATH.
has_postgres() { has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

# packages PURPOSE: the missing ones, one a line.
packages() {
  has haproxy || echo haproxy
  has curl || echo curl
  has git || echo git
  # The Go command fetches modules over https.
  [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
  if [ "$1" = haproxy3 ]; then
    has debootstrap || echo debootstrap
  fi
  if [ "$1" = test ]; then
    has protoc || echo protobuf-compiler
    # The race detector is linked by a C compiler.
    has gcc || echo gcc
    [ -e /usr/include/stdlib.h ] || echo libc6-dev
    # The tests start a server of their own out of it.
    has_postgres || echo postgresql
  fi
}

case "${1:-}" in demo | test | haproxy3) ;; *) echo "usage: setup.sh demo|test|haproxy3" >&2; exit 2 ;; esac

if ! has go; then
  echo "setup: Go 1.26 is needed (go.mod; one of 1.21 or later fetches it): https://go.dev/doc/install" >&2
  exit 1
fi

mapfile -t missing < <(packages "$1")
[ "${#missing[@]}" -gt 0 ] || exit 0
if ! has apt-get; then
  echo "setup: please install: ${missing[*]}" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "setup: please run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
echo "setup: installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
# Debian starts a service of a package that it installs; its haproxy listens nowhere until it is configured.
apt-get update -q </dev/null
# Debian's postgresql makes a cluster of its own and starts it; nobody here wants one. The package that asks comes first, and
# an answer that somebody has given stays.
case " ${missing[*]} " in
*" postgresql "*)
  apt-get install -q -y --no-install-recommends postgresql-common </dev/null
  answers=/etc/postgresql-common/createcluster.conf
  grep -qs '^[[:space:]]*create_main_cluster' "$answers" || echo 'create_main_cluster = false' >>"$answers"
  ;;
esac
apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null
