#!/bin/sh
# Usage: suite.sh COUNTS [sctp [FILE...]]. Runs lint, vitest, and beside them vitest with SCTP in an
# emulated machine, or the latter alone, with files of test/sctp to pick; adds lines "PASSED FAILED"
# to COUNTS.
set -eu
export SLUICE_TEST_COUNTS="$1"
shift

if [ "${1:-}" = sctp ]; then
  shift
  exec sh scripts/test/sctp.sh "$@"
fi

folder=$(mktemp -d)
# A session of its own, so that all of the machine can be ended.
SLUICE_TEST_COUNTS="$folder/counts" setsid sh scripts/test/sctp.sh >"$folder/output" 2>&1 &
machine=$!
trap 'kill -- "-$machine" 2>/dev/null || true; rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

status=0
echo 'test: lint'
npm run --silent lint || status=1
echo 'test: vitest'
node_modules/.bin/vitest run || status=1
echo 'test: vitest with SCTP, in an emulated machine, which ran beside it'
wait "$machine" || status=1
cat "$folder/output"
[ ! -s "$folder/counts" ] || cat "$folder/counts" >>"$SLUICE_TEST_COUNTS"

if [ "$status" != 0 ]; then
  echo 'test: failed, see above' >&2
fi
exit "$status"
