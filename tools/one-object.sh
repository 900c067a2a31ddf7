#!/bin/sh
# SPDX-License-Identifier: MIT
# Make an archive of one object that shows only what a version script exports.
#	tools/one-object.sh MAP IN.a OUT.a CC...
set -eu
map=$1 in=$2 out=$3
shift 3

object=${out%.a}.o
rm -f "$out"
"$@" -nostdlib -r -o "$object" -Wl,--whole-archive "$in" -Wl,--no-whole-archive
keep=$(sed -n 's/^[[:space:]]*\(decant_[a-z0-9_]*\);.*/--keep-global-symbol=\1/p' "$map")
# The sanitizers' own names must stay shared with the rest of the program.
# shellcheck disable=SC2086
objcopy --wildcard $keep --keep-global-symbol='__*san*' "$object"
ar rcsD "$out" "$object"
rm -f "$object"
