#!/bin/bash
# SPDX-License-Identifier: MIT
# Sinks that are full, and limits of the process.
# shellcheck disable=SC1091,SC2016
. "$(dirname "$0")/lib.bash"
need_root
head -c 3000000 /dev/urandom >src
mkdir small

# In a mount namespace of its own, which takes the mount along when it ends.
# $1: how large; the rest is run by sh with $DECANT.
in_small() {
	local size=$1
	shift
	unshare -m bash -c "mount -t tmpfs -o size=$size tmpfs small && $*"
}

fails "No space left" in_small 1m '"$DECANT" copy src small/new'
says "of 3000000 bytes arrived; the source stands at offset" "  with the offset"
says "make room" "  says what to do"
run in_small 1m '"$DECANT" copy src small/new; ls -A small; df --output=used small'
is "nothing is left there" "$(tail -1 "$OUT" | tr -d ' ')" 0
fails "No space left" in_small 1m '"$DECANT" copy src small/new --partial; s=$?
	cmp -n 1000000 src small/new.partial && exit $s'
fails "No space left" in_small 1m 'echo old >small/new; "$DECANT" copy src small/new --force; s=$?
	test "$(cat small/new)" = old && exit $s'
fails "No space left" in_small 1m '"$DECANT" copy - small/new < <(cat src)'
fails "No space left" in_small 1m 'cat src | "$DECANT" copy - - >small/new'
fails "No space left" in_small 1m '"$DECANT" copy mem:2M small/new'
fails "No space left" in_small 1m '"$DECANT" copy zero:2M small/new --to-offset 0'
for route in $("$DECANT" copy --route help | sort -u); do
	run in_small 1m "\"\$DECANT\" copy src small/new --route $route"
	status 1 "by $route: never 'done'"
done

fails "File too large" bash -c 'ulimit -f 1000; trap "" XFSZ; exec "$0" copy src new' "$DECANT"
ok "  no file is left" test ! -e new
run bash -c 'ulimit -f 1000; exec "$0" copy src new' "$DECANT"
status 1 "without the signal being ignored: still a sentence"
ok "  no file is left" test ! -e new
run bash -c 'ulimit -l 0; exec "$0" copy src locked' "$DECANT"
status 0 "no locked memory at all: another way is found"
ok "  the same bytes" cmp src locked
for n in 4 5 6 7 8 10 12 16; do
	run bash -c "ulimit -n $n; exec \"\$0\" copy src few" "$DECANT"
	if [ "$STATUS" = 0 ]; then
		ok "$n descriptors are enough" cmp src few
	else
		is "$n descriptors: an error" "$STATUS" 1
		says "decant: " "  with a sentence"
		ok "  no file is left" test ! -e few
	fi
	rm -f few
done
run unshare -m bash -c 'mount -t tmpfs -o ro tmpfs small && "$DECANT" copy src small/new'
says "Read-only file system" "a read-only file system"
finish
