#!/usr/bin/env bash
# Installs the missing programs that tests use, on Debian and its like, as root or with sudo.
# Arguments: PROGRAM:PACKAGE, or PROGRAM:PACKAGE|OTHER where some releases have the other one alone.
# It never fails: a test whose program is missing says so and is
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
"${as_root[@]}" apt-get update -qq
# One package that is not known would keep all others from being installed.
known=()
for package in "${missing[@]}"; do
  IFS='|' read -ra names <<<"$package"
  for name in "${names[@]}"; do
    if apt-cache show "$name" >/dev/null 2>&1; then known+=("$name") && continue 2; fi
  done
  echo "No package $package is known; the tests that need it are skipped." >&2
done
if [ "${#known[@]}" -eq 0 ]; then exit 0; fi
install=(apt-get install -y -qq --no-install-recommends)
if "${as_root[@]}" "${install[@]}" "${known[@]}"; then
  echo "Installed ${known[*]}."
else
  echo "Could not install ${known[*]}; the tests that need them are skipped." >&2
fi
exit 0
