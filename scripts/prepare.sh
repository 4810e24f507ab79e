#!/bin/sh
# Installs the packages that package-lock.json names, where that is due, and compiles to dist/.
set -eu
cd "$(dirname "$0")/.."

node scripts/check-node.cjs

# npm writes this file last, so it dates the whole installation.
installed=node_modules/.package-lock.json

# Not `npm ci`: it wants the platform packages of every other system in the lock file too, and a
# registry that lacks some of them can't give them. This holds to the same versions and hashes.
if [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
  echo 'prepare: installing packages and compiling'
  npm install --no-save --include=dev --no-audit --no-fund --loglevel=error >&2
else
  echo 'prepare: compiling'
fi
npm run --silent build
