#!/bin/sh
# Installs the packages that package-lock.json names, where that is due, and compiles to dist/.
set -eu
cd "$(dirname "$0")/.."

# npm writes this file last, so it dates the whole installation.
installed=node_modules/.package-lock.json

if [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
  echo 'prepare: installing packages (npm ci) and compiling'
  npm ci --include=dev --no-audit --no-fund --loglevel=error >&2
else
  echo 'prepare: compiling'
fi
npm run --silent build
