#!/bin/sh
# SPDX-License-Identifier: MIT
# make bench: decant against plain loops, other programs and fio; about a quarter of an hour.
#	tools/bench.sh [OPTION of decant-bench...]
# BENCH_QUICK=1: the main cases, two minutes.  BENCH_DIR: a directory on the disk that is
# measured ($TMPDIR or /var/tmp; ext4 is what the names of the cases say).
# What was measured is in build/bench.json, the chart in build/bench.svg; of cores, in
# build/bench-core.json; of predumps, in build/bench-predump.json; of programs under a policy, in
# build/bench-run.json; of files over HTTP, in build/bench-serve.json; of pages to a page server, in
# build/bench-wire.json.
set -eu
cd "$(dirname "$0")/.."
out=build

[ -f $out/build.ninja ] || meson setup $out
ninja -C $out bench/decant-bench bench/decant-bench-victim bench/decant-bench-calls \
	bench/decant-bench-herd decant \
	shim/libdecant-shim.so >/dev/null
case $(meson configure $out 2>/dev/null | sed -n 's/^ *b_sanitize *\([a-z,]*\).*/\1/p') in
none | '') ;;
*) echo "bench: $out is built with a sanitizer: its numbers mean nothing" >&2 ;;
esac
[ -z "${BENCH_QUICK-}" ] || set -- --quick "$@"
[ -z "${BENCH_DIR-}" ] || set -- --dir "$BENCH_DIR" "$@"
$out/bench/decant-bench --json $out/bench.json "$@"
bench/report.py $out/bench.json --svg $out/bench.svg
core=
[ -z "${BENCH_QUICK-}" ] || core="--quick"
[ -z "${BENCH_DIR-}" ] || core="$core --dir $BENCH_DIR"
# shellcheck disable=SC2086
bench/core.py $core --json $out/bench-core.json $out
# shellcheck disable=SC2086
bench/dirty.py $core --json $out/bench-dirty.json $out
# shellcheck disable=SC2086
bench/predump.py $core --json $out/bench-predump.json $out
# shellcheck disable=SC2086
bench/run.py $core --json $out/bench-run.json $out
# shellcheck disable=SC2086
bench/serve.py $core --json $out/bench-serve.json $out
# shellcheck disable=SC2086
bench/wire.py $core --json $out/bench-wire.json $out
