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
# As somebody else than root, to whom permissions mean something.
mkdir own closed
chmod 711 .
chmod 644 src
chown 65534 own
cp "$DECANT" program
other() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
fails "Permission denied" other ./program copy src closed/new
says "hint: the permissions" "  and says what to do"
run other ./program copy src own/new
status 0 "in a directory of one's own"
chmod 600 src
fails "Permission denied" other ./program copy src own/other
chmod 644 src
echo old >own/there
chown 0:0 own/there
chmod 664 own/there
run other ./program copy src own/there --force
is "a file of another is replaced, but his group gets no rights through us" \
	"$STATUS $(stat -c '%u:%g %a' own/there)" "0 65534:65534 604"
fails "Permission denied" other ./program copy src closed/../src --in-place

# Block devices.
truncate -s 4M image
if loop=$(losetup --find --show image); then
	trap 'losetup -d "$loop"; clean_up' EXIT
	run decant copy src "$loop"
	status 0 "to a block device"
	sync
	ok "  the same bytes" cmp -n 3000000 src image
	run decant copy "$loop" from-device
	ok "  and back, all of it" cmp image from-device
	run decant copy src "$loop" --offset 5 --to-offset 1M --length 1000 --sync
	ok "  in its middle" cmp -i 5:1048576 -n 1000 src "$loop"
	fails "are the same file" decant copy "$loop" "$loop"
	truncate -s 5M large
	fails "No space left" decant copy large "$loop"
	python3 -c 'import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
print("held", flush=True)
time.sleep(30)' "$loop" >held & holder=$!
	wait_text held held
	fails "busy" decant copy src "$loop"
	says "--force" "  and names --force"
	run decant copy src "$loop" --force
	status 0 "  with which it is written to"
	kill $holder
	wait $holder 2>/dev/null
else
	point bad "a loop device can be had"
fi
run unshare -m bash -c 'mount -t tmpfs -o ro tmpfs small && "$DECANT" copy src small/new'
says "Read-only file system" "a read-only file system"
finish
