#!/bin/sh
# Usage: suite.sh COUNTS. Runs lint and vitest here and now; writes "PASSED FAILED" to COUNTS.
set -eu
export SLUICE_TEST_COUNTS="$1"

status=0
echo 'test: lint'
npm run --silent lint || status=1
echo 'test: vitest'
node_modules/.bin/vitest run || status=1

if [ "$status" != 0 ]; then
  echo 'test: failed, see above' >&2
fi
exit "$status"
