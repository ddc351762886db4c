#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs the packages of tools/packages.txt (or of the lists given) that are missing. Asks for root only then; with everything present it needs nothing.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- tools/packages.txt
wanted=$(sed 's/#.*//' "$@" | tr -s ' \t\n' ' ')
missing=
for p in $wanted; do
	case $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true) in
	installed) ;;
	*) missing="$missing $p" ;;
	esac
done
[ -n "$missing" ] || exit 0
echo "These packages are missing:$missing"
if [ "$(id -u)" = 0 ]; then
	as_root=
elif command -v sudo >/dev/null 2>&1; then
	as_root=sudo
	echo "Installing them needs root: sudo may ask for your password."
else
	echo "Please install them as root: apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
