#!/bin/sh
# Prepares a clean clone (dependencies, generated code) and runs a command with Node 24 first in PATH.
set -e
cd "$(dirname "$0")/../.."
stamp=node_modules/.waggle-lock
if ! cmp -s package-lock.json "$stamp"; then
  echo "installing npm packages (the first run, or package-lock.json has changed)"
  npm ci --no-audit --no-fund
  cp package-lock.json "$stamp"
fi
PATH="$PWD/node_modules/.bin:$PATH"
export PATH
node test/lab/generate-proto.ts
exec "$@"
