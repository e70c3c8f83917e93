#!/usr/bin/env bash
# Runs the tests with each Node of package.json: `npm run test:matrix`. With names, only with those:
# `npm run test:matrix -- node24`. Words after a further `--` go to vitest.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
npm ci --prefix "$here" --no-audit --no-fund --loglevel=error

versions=()
while [ $# -gt 0 ] && [ "$1" != "--" ]; do versions+=("$1"); shift; done
if [ $# -gt 0 ]; then shift; fi
if [ ${#versions[@]} -eq 0 ]; then versions=(node20 node22 node24); fi

failed=()
for version in "${versions[@]}"; do
  bin="$here/node_modules/$version/bin"
  printf '\n== %s: %s ==\n' "$version" "$("$bin/node" --version)"
  PATH="$bin:$PATH" "$bin/node" node_modules/vitest/vitest.mjs run "$@" || failed+=("$version")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "Failed on ${failed[*]}." >&2
  exit 1
fi
echo "Passed on ${versions[*]}."
