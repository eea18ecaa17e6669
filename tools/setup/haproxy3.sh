#!/usr/bin/env bash
# Puts the HAProxy 3.0 of Debian 13 into a folder of its own, beside whatever the machine runs: haproxy3.sh DIR. Then
# DIR/bin/haproxy is that HAProxy, to be put in front of PATH. It does nothing where that is there. Root is needed, and a
# Debian archive among apt's sources: Debian 13 is taken from there, by debootstrap, which checks its signatures.
set -euo pipefail

[ "$#" -eq 1 ] || { echo "usage: haproxy3.sh DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
haproxy=$dir/bin/haproxy
if [ -x "$haproxy" ] && "$haproxy" -v >/dev/null 2>&1; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "haproxy3: please run as root: debootstrap makes devices and changes its root" >&2
  exit 1
fi

# archive is the address of the Debian archive that this machine uses; empty if it has none.
archive() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1
}

"$(dirname "$0")/setup.sh" haproxy3
mirror=$(archive)
if [ -z "$mirror" ]; then
  apt-get update -q </dev/null
  mirror=$(archive)
fi
[ -n "$mirror" ] || { echo "haproxy3: there is no Debian archive among apt's sources" >&2; exit 1; }

echo "haproxy3: installing Debian 13's HAProxy into $dir (the first time: 3 minutes) ..."
rm -rf --one-file-system "$dir/root" "$dir/new" # what an interrupted run left behind, but nothing that is mounted there
log=$dir/debootstrap.log
if ! debootstrap --variant=minbase --include=haproxy --force-check-gpg trixie "$dir/new" "$mirror" >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "haproxy3: debootstrap failed, see $log" >&2
  exit 1
fi
mv "$dir/new" "$dir/root"

# It runs outside of its root, in the directory that it is started in, so it is loaded with the libraries of its root. The
# master executes what its first argument names when it is reloaded: this script.
loader=$(find "$dir/root/usr/lib" "$dir/root/usr/lib64" -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
libraries=$(dirname "$(find "$dir/root/usr/lib" -name 'libc.so.6' | head -n 1)")
mkdir -p "$dir/bin"
cat >"$haproxy.new" <<EOF
#!/bin/sh
exec $loader --library-path $libraries --argv0 $haproxy $dir/root/usr/sbin/haproxy "\$@"
EOF
chmod 755 "$haproxy.new"
"$haproxy.new" -v | head -n 1
mv "$haproxy.new" "$haproxy"
