#!/usr/bin/env bash
# Installs the packages of the named groups of packages.txt that are not there yet.
# Usage: packages.sh GROUP...
set -euo pipefail
cd "$(dirname "$0")/.."

wanted_packages() {
  awk -v groups=" $* " '
    /^# \[[a-z]+\]$/ { group = substr($2, 2, length($2) - 2); next }
    /^#/ || NF == 0  { next }
    index(groups, " " group " ") { print $1 }' packages.txt | sort -u
}

is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

mapfile -t wanted < <(wanted_packages "$@")

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "packages: not a Debian system, so nothing is installed. What is needed, by Debian's names:"
  echo "  ${wanted[*]}"
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  is_installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "packages: these are missing, and installing them takes root. Run as root:" >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "packages: going to install ${missing[*]}"
# The lock timeout waits for a system that updates itself in the background instead of failing.
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}"
