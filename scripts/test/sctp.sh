#!/bin/sh
# Usage: sctp.sh [FILE...]. Runs the tests of test/sctp in an emulated machine, because most kernels
# have no SCTP, and adds a line "PASSED FAILED" to the file of SLUICE_TEST_COUNTS. A machine that
# doesn't boot, or doesn't get to the end, is a failure. What is missing is named, and is a failure
# where CI=true.
set -eu
counts=${SLUICE_TEST_COUNTS:-/dev/null}
cd "$(dirname "$0")/../.."
# A user's PATH often lacks the folders of modprobe.
export PATH="$PATH:/usr/sbin:/sbin"

missing() {
  [ "$(uname -m)" = x86_64 ] || echo 'an x86-64 processor;'
  for program in qemu-system-x86_64 busybox cpio modprobe; do
    command -v "$program" >/dev/null || echo "$program;"
  done
  [ -d /var/cache/sluice-test/kernel ] || echo "Debian's kernel;"
}

lacks=$(missing | tr '\n' ' ')
if [ -n "$lacks" ]; then
  echo "NOT RUN: the SCTP suite [lacks ${lacks}run npm test as root on Debian]" >&2
  [ "${CI:-}" = true ] || exit 0
  echo 'CI=true: a suite that is not run is a failure' >&2
  echo '0 1' >>"$counts"
  exit 1
fi

share=$(mktemp -d)
trap 'rm -rf "$share"' EXIT
status=0
SLUICE_TEST_COUNTS=/mnt/counts sh scripts/test/machine/boot.sh "$share" \
  node_modules/.bin/vitest run "$@" || status=$?
if [ -s "$share/counts" ]; then
  cat "$share/counts" >>"$counts"
else
  echo 'test: the SCTP suite has no results' >&2
  echo '0 1' >>"$counts"
fi
exit "$status"
