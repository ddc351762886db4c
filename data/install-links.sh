#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# install-links.sh DIR TARGET-DIR NAME…: links DIR/NAME -> TARGET-DIR/NAME, below $DESTDIR. For targets that exist only while the system
# runs, such as sockets: meson's own install_symlink refuses those.
set -eu
dir=${DESTDIR:-}$1
target=$2
shift 2
mkdir -p "$dir"
for name; do
	ln -sfn "$target/$name" "$dir/$name"
done
