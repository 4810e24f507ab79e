#!/bin/sh
# Installs the Debian packages of packages.txt that are missing, and a current Docker next to the
# machine's own packages. Needs root. Does nothing on a machine that has it all.
set -eu
here=$(dirname "$0")

# Prefix of Debian unstable's Docker; test/harness/paths.ts names the same folder.
docker=/var/cache/sluice-test/docker

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
  for deb in "$work"/debs/*.deb; do
    dpkg -x "$deb" "$work/root"
  done

  # Renamed into place whole, so that an interrupted run leaves nothing that looks complete.
  chmod 755 "$work/root"
  mkdir -p "$(dirname "$docker")"
  rm -rf "$docker.new"
  mv "$work/root" "$docker.new"
  mv "$docker.new" "$docker"
  rm -rf "$work"
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
