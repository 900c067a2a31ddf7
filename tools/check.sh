#!/bin/sh
# SPDX-License-Identifier: MIT
# make check: three builds, then every test that they declare.
#	tools/check.sh [ARGUMENTS OF tests/run]
# The last line is "N passed, N failed, N skipped"; build-check/result has it too.
set -eu
cd "$(dirname "$0")/.."
out=build-check
mkdir -p $out
rm -f $out/result

broken()
{
	echo "0 passed, 1 failed, 0 skipped" | tee $out/result
	exit 1
}

build()
{
	name=$1
	shift
	echo "building $out/$name"
	if [ ! -f "$out/$name/build.ninja" ]; then
		rm -rf "${out:?}/$name"
		meson setup -Dfaults=true -Dwerror=true "$@" "$out/$name" >"$out/$name.log" 2>&1 ||
			{ cat "$out/$name.log"; return 1; }
	fi
	ninja -C "$out/$name" >"$out/$name.log" 2>&1 || { cat "$out/$name.log"; return 1; }
}

build plain --buildtype=debugoptimized || broken
build asan -Db_sanitize=address,undefined -Db_lundef=false || broken
build tsan -Db_sanitize=thread -Db_lundef=false || broken
# Most tests wait more than they work: one more at a time than CPUs.
exec tests/run -j $(($(nproc) + 1)) --again --result $out/result "$@" $out/plain $out/asan $out/tsan
