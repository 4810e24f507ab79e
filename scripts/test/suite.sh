#!/bin/sh
# Usage: suite.sh COUNTS [sctp [FILE...]]. Runs lint, vitest, and vitest with SCTP here and now, or
# the latter alone, with files of test/sctp to pick; adds lines "PASSED FAILED" to COUNTS.
set -eu
export SLUICE_TEST_COUNTS="$1"
shift

status=0
if [ "${1:-}" = sctp ]; then
  shift
else
  echo 'test: lint'
  npm run --silent lint || status=1
  echo 'test: vitest'
  node_modules/.bin/vitest run || status=1
fi
echo 'test: vitest with SCTP, in an emulated machine'
sh scripts/test/sctp.sh "$@" || status=1

if [ "$status" != 0 ]; then
  echo 'test: failed, see above' >&2
fi
exit "$status"
