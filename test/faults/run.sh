#!/usr/bin/env bash
# The figures of docs/failure-model.md in full. It installs the programs that make the faults, runs
# every test that the table names, and prints one line for each promise: reached / of. Arguments:
# test files, instead of all of them. FAULTS_SHARE=0.1 does a tenth of each figure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash test/support/install-programs.sh strace:strace faketime:faketime mkfs.ext4:e2fsprogs \
  mount:mount prlimit:util-linux fsfreeze:util-linux
export PATH="$PATH:/usr/sbin:/sbin"
files=("$@")
if [ "${#files[@]}" -eq 0 ]; then
  named() { grep -o 'test/[a-z/-]*\.test\.ts' docs/failure-model.md; ls test/faults/*.test.ts; }
  mapfile -t files < <(named | sort -u)
fi
ORCHD_FIGURES="$(mktemp)"
trap 'rm -f "$ORCHD_FIGURES"' EXIT
export ORCHD_FIGURES FAULTS=1
npx vitest run --reporter=default --reporter=./test/support/promise-reporter.ts "${files[@]}"
