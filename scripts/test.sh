#!/bin/sh
# npm test: lint and every suite; `npm run test:sctp [-- FILE...]`: the SCTP suite, or files of it.
# As root on Debian it first installs what the suites need, then runs them as an unprivileged user,
# because root hides permission errors. Anyone else runs what the machine has; what it lacks is
# named, and is a failure where CI=true.
set -eu
umask 022
cd "$(dirname "$0")/.."
exec </dev/null
[ -t 1 ] || export NO_COLOR=1

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

status=0
if ! sh scripts/prepare.sh; then
  status=1
elif [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
  sh scripts/test/as-test-user.sh "$results/counts" "$@" || status=1
else
  echo 'test: not root on Debian: nothing is installed, and tests that lack something are skipped'
  sh scripts/test/suite.sh "$results/counts" "$@" || status=1
fi

passed=0
failed=0
if [ -s "$results/counts" ]; then
  while read -r more_passed more_failed; do
    passed=$((passed + more_passed))
    failed=$((failed + more_failed))
  done <"$results/counts"
fi
# Lint, set-up and processes left running are no tests, but each of them fails the run.
if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
  failed=1
fi
echo "$passed passed, $failed failed"
exit "$status"
