#!/usr/bin/env bash
# Runs a command where containers can be built and run: `scripts/with_podman.sh make image`.
# Where podman can already run the base image of deploy/Dockerfile, it just runs the command. Else, as root
# on Debian, it installs podman and, if no registry can be reached, makes a stand-in for the base image from
# Debian's own packages. Everything it makes lies in I2I_PODMAN (0.5 GB). About a minute the first time.
set -euo pipefail
base=$(sed -n 's/^ARG BASE=//p' "$(dirname "$0")/../deploy/Dockerfile")
runs() { podman run --rm --network host "$base" true >/dev/null 2>&1; }

if runs; then exec "$@"; fi

[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || {
  echo "$0: expected podman that can run $base, or root on Debian to install it" >&2
  exit 1
}
packages=()
for package in podman runc debootstrap iptables; do
  command -v "$package" >/dev/null || packages+=("$package")
done
if [ ${#packages[@]} != 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # Debian's podman prefers crun, which refuses to start where control groups of both versions are mounted.
  apt-get install -y -qq --no-install-recommends "${packages[@]}" crun- catatonit >/dev/null
fi

work=${I2I_PODMAN:-${TMPDIR:-/tmp}/i2i-podman}
mkdir -p "$work"
export CONTAINERS_STORAGE_CONF=$work/storage.conf CONTAINERS_CONF=$work/containers.conf
cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
runroot = "$work/run"
graphroot = "$work/storage"
END
# This works in a container, too: no systemd, no network name space, no limits above our own.
cat >"$CONTAINERS_CONF" <<END
[containers]
netns = "host"
default_ulimits = ["nofile=16384:16384", "nproc=32768:32768"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
END

if ! runs; then
  root=$(mktemp -d "$work/rootfs.XXXX")
  mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources)
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip \
    bookworm "$root" "$mirror" >"$work/debootstrap.log" 2>&1
  # A host behind a proxy has certificate authorities of its own.
  cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
  chroot "$root" update-ca-certificates >/dev/null 2>&1
  ln -s python3 "$root/usr/bin/python"
  # As in the official image: pip may install, and no package lists.
  rm -rf "$root"/usr/lib/python3.11/EXTERNALLY-MANAGED "$root"/var/{cache/apt/archives/*.deb,lib/apt/lists/*}
  authorities=/etc/ssl/certs/ca-certificates.crt
  tar -C "$root" -c . |
    podman import -q -c "ENV PATH=/usr/local/bin:/usr/bin:/bin" -c "ENV PIP_CERT=$authorities" - "$base"
  rm -rf "$root"
  runs
fi
exec "$@"
