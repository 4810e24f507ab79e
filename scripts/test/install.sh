#!/bin/sh
# Installs the Debian packages of packages.txt that are missing, and next to the machine's own
# packages a current Docker, an old one and a kernel with SCTP. Needs root. Does nothing on a machine
# that has it all.
set -eu
here=$(dirname "$0")

# Prefixes of Debian unstable's Docker, and of Debian 12's: 20.10, the last that publishes ports with
# rootlesskit-docker-proxy. test/harness/paths.ts names the same folders.
docker=/var/cache/sluice-test/docker
old_docker=/var/cache/sluice-test/docker-20.10

# Debian's kernel with its modules; scripts/test/machine/boot.sh names the same folder.
kernel=/var/cache/sluice-test/kernel

# Prometheus' promtool alone; test/harness/paths.ts names it.
prometheus=/var/cache/sluice-test/prometheus

log=$(mktemp)
trap 'rm -f "$log"' EXIT

quietly() {
  "$@" >"$log" 2>&1 || {
    echo "test: failed: $*" >&2
    cat "$log" >&2
    return 1
  }
}

missing_packages() {
  sed -e 's/#.*//' "$here/packages.txt" | while read -r package _; do
    [ -n "$package" ] || continue
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
      installed) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

install_packages() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# Debian unstable's packages run on Debian 12's libc, so unpacking them is enough; upgrading the
# machine is not needed. The mirror is the one that the machine uses for its own release.
unpack_docker() {
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    "Release: $release" 'Component: main' 'Identifier: Packages' | head -n 1)
  if [ -z "$mirror" ]; then
    echo "test: /etc/apt names no mirror for '$release main': add one" >&2
    return 1
  fi

  work=$(mktemp -d)
  mkdir -p "$work/lists/partial" "$work/debs" "$work/root"
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$keyring] $mirror sid main" >"$work/sources.list"
  set -- -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" \
    -o Acquire::Languages=none -o APT::Sandbox::User=root
  quietly apt-get "$@" update
  (cd "$work/debs" && quietly apt-get "$@" download docker.io docker-cli containerd rootlesskit)
  unpack_debs "$work" "$docker"
}

# Not installed: its services would start.
unpack_old_docker() {
  work=$(mktemp -d)
  mkdir -p "$work/debs" "$work/root"
  download "$work/debs" docker.io containerd rootlesskit
  unpack_debs "$work" "$old_docker"
}

# Not installed: its service would start. Of all of it, one tool is used.
unpack_promtool() {
  work=$(mktemp -d)
  mkdir -p "$work/debs" "$work/root" "$work/all"
  download "$work/debs" prometheus
  dpkg -x "$work"/debs/*.deb "$work/all"
  install -D "$work/all/usr/bin/promtool" "$work/root/usr/bin/promtool"
  put_in_place "$work" "$prometheus"
}

# Not installed: the machine goes on with the kernel that it has, and no boot loader is touched.
unpack_kernel() {
  work=$(mktemp -d)
  mkdir -p "$work/debs" "$work/root"
  quietly apt-get update
  # The package without a version only names the one that has the kernel.
  download "$work/debs" "$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: //p')"
  dpkg -x "$work"/debs/*.deb "$work/root"
  depmod --basedir "$work/root" "$(ls "$work/root/lib/modules")"
  put_in_place "$work" "$kernel"
}

# Usage: download FOLDER PACKAGE...
download() {
  folder=$1
  shift
  (cd "$folder" && {
    apt-get -o APT::Sandbox::User=root download "$@" >/dev/null 2>&1 || {
      quietly apt-get update
      quietly apt-get -o APT::Sandbox::User=root download "$@"
    }
  })
}

unpack_debs() {
  for deb in "$1"/debs/*.deb; do
    dpkg -x "$deb" "$1/root"
  done
  put_in_place "$1" "$2"
}

# Renamed whole, so that an interrupted run leaves nothing that looks complete.
put_in_place() {
  chmod 755 "$1/root"
  mkdir -p "$(dirname "$2")"
  rm -rf "$2.new"
  mv "$1/root" "$2.new"
  mv "$2.new" "$2"
  rm -rf "$1"
}

missing=$(missing_packages)
if [ -n "$missing" ]; then
  echo "test: installing $missing"
  # The index is fetched only where the machine's own is absent or too old to be of use.
  # shellcheck disable=SC2086 # a list of words
  install_packages $missing >/dev/null 2>&1 || {
    quietly apt-get update
    quietly install_packages $missing
  }
fi

if [ ! -d "$docker" ]; then
  echo 'test: fetching a current Docker from Debian unstable'
  unpack_docker
fi
if [ ! -d "$old_docker" ]; then
  echo 'test: fetching Docker 20.10 from Debian 12'
  unpack_old_docker
fi

if [ ! -d "$kernel" ] && [ "$(dpkg --print-architecture)" = amd64 ]; then
  echo "test: fetching Debian's kernel, which has SCTP"
  unpack_kernel
fi

if [ ! -d "$prometheus" ]; then
  echo 'test: fetching promtool'
  unpack_promtool
fi
