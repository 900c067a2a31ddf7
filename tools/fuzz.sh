#!/bin/sh
# SPDX-License-Identifier: MIT
# make fuzz: every target of tests/fuzz under libFuzzer, FUZZ_SECONDS (60) each.
#	tools/fuzz.sh [TARGET...]
# What is found is in build-fuzz/found; corpora grow in build-fuzz/corpus.
set -eu
cd "$(dirname "$0")/.."
out=build-fuzz
seconds=${FUZZ_SECONDS:-60}

[ -f $out/build.ninja ] || CC=clang meson setup -Dfuzz=true -Db_lundef=false $out
ninja -C $out
mkdir -p $out/found
failed=
for program in "$out"/tests/fuzz/fuzz-*; do
	[ -f "$program" ] || continue
	name=${program##*/fuzz-}
	case " ${*:-$name} " in
	*" $name "*) ;;
	*) continue ;;
	esac
	echo "fuzzing $name for $seconds s"
	mkdir -p "$out/corpus/$name"
	if "$program" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 \
		-artifact_prefix="$out/found/$name-" "$out/corpus/$name" "tests/fuzz/corpus/$name" \
		2>"$out/$name.log"; then
		tail -n 1 "$out/$name.log"
	else
		tail -n 40 "$out/$name.log"
		failed="$failed $name"
	fi
done
[ -z "$failed" ] || { echo "found something:$failed (see $out/found)"; exit 1; }
