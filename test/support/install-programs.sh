#!/usr/bin/env bash
# Installs the missing programs that tests use, on Debian and its like, as root or with sudo.
# Arguments: PROGRAM:PACKAGE. It never fails: a test whose program is missing says so and is
# skipped, so this is a help and not a condition.
set -uo pipefail
command -v apt-get >/dev/null 2>&1 || exit 0
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
export DEBIAN_FRONTEND=noninteractive
missing=()
for pair in "$@"; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}")
done
if [ "${#missing[@]}" -eq 0 ]; then exit 0; fi
install=(apt-get install -y -qq --no-install-recommends)
if "${as_root[@]}" apt-get update -qq && "${as_root[@]}" "${install[@]}" "${missing[@]}"; then
  echo "Installed ${missing[*]}."
else
  echo "Could not install ${missing[*]}; the tests that need them are skipped." >&2
fi
exit 0
