#!/bin/bash
# SPDX-License-Identifier: MIT
# Whatever a program does to be out of its supervisor's sight (namespaces, limits, filters and
# tracers of its own, nothing open), its calls are under the policy or fail; and a program with
# fewer rights than its supervisor gets at nothing of that.
# shellcheck disable=SC1091,SC2016,SC2086,SC2153
. "$(dirname "$0")/lib.bash"
EVADE=${DECANT_BUILD:?}/tests/programs/program-evade
OLD=10 NEW=11 NO_MEMORY=13 BUSY=15

evade() { # MECHANISM WORD...
	local mechanism=$1
	shift
	run decant run --policy=copy-v2 --mechanism="$mechanism" --report=r.txt -- "$EVADE" "$@"
}

sleep 1000 &
sleeper=$!
for word in plain userns dumpable closed limits tsync shared suspend stopped; do
	run timeout 20 "$EVADE" $word $sleeper
	if [ "$STATUS" = 77 ]; then
		echo "# $word: not to be done here"
		continue
	fi
	is "control: $word, natively: a later write is seen" "$STATUS" $NEW
	for mechanism in trace notify preload; do
		evade $mechanism $word
		status $OLD "$word, $mechanism: it is not seen"
	done
done
kill $sleeper
for mechanism in trace notify preload; do
	evade $mechanism trap
	status $OLD "a filter that wants a tracer, $mechanism: ours is asked"
done

# A listener of its own would be asked first.
run timeout 20 "$EVADE" listener
is "control: a listener of its own lets the call pass" "$STATUS" $NEW
for mechanism in trace notify; do
	evade $mechanism listener
	status $BUSY "a listener of its own, $mechanism: there is one already"
done
evade preload listener
status $OLD "a listener of its own, preload: it is not asked"
run decant run --policy=audit --mechanism=trace --report=r.txt -- "$EVADE" listener
status $NEW "audit by trace: it may have one"
ok "  which is told" grep -q "NOT SEEN: .*makes a seccomp listener" r.txt

# What is no end of anything, or none any more.
timeout 20 "$EVADE" odd >odd.txt
ok "control: odd descriptors are refused, each in its way" \
	test "$(cut -d: -f2 odd.txt | sort -u | wc -l)" -ge 3
for how in "copy-v1 trace" "copy-v2 trace" "copy-v2 notify" "copy-v2 preload" "stable notify" \
	"stable preload" "audit trace"; do
	run decant run --policy=${how% *} --mechanism=${how#* } --report=r.txt -- "$EVADE" odd
	ok "odd descriptors, $how: as natively" diff odd.txt "$OUT"
done

# The memory that preload shares.
evade preload cut
status $OLD "preload: the shared memory cannot be cut"
ok "  nor was it" test ! -s "$OUT"
ok "  and there is a report" grep -q "^policy .*, by preload" r.txt

# Limits of decant itself, and no room where memory is shared.
for mechanism in trace notify preload; do
	files=100 # KiB; preload shares some MiB
	[ $mechanism = preload ] && files=unlimited
	run bash -c 'ulimit -c 0 -l 0; ulimit -f "$3"; exec timeout 20 "$DECANT" run \
		--policy=copy-v2 --mechanism="$1" -- "$2" plain' - $mechanism "$EVADE" $files
	status $OLD "$mechanism: hardly any files, cores and locked memory for decant"
	if [ "$(id -u)" = 0 ]; then
		run unshare -m bash -c 'mount -t tmpfs -o size=4k none /dev/shm &&
			head -c 64K /dev/zero 2>&1 >/dev/shm/full | grep -q "No space" || exit 1
			exec timeout 20 "$DECANT" run --policy=copy-v2 --mechanism="$1" \
			-- "$2" plain' - $mechanism "$EVADE"
		status $OLD "$mechanism: /dev/shm is full"
	fi
done
for mechanism in trace notify; do
	run bash -c 'ulimit -n 9; exec timeout 20 "$DECANT" run --policy=copy-v2 --report=r.txt \
		--mechanism="$1" -- "$2" plain' - $mechanism "$EVADE"
	ok "$mechanism: hardly any descriptors for decant: never natively" test "$STATUS" != $NEW
done

# ------------------------------------------------------------- a supervisor with more rights
if [ "$(id -u)" = 0 ]; then
	nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
	chmod 755 . && cp "$EVADE" evade && cp "$EVADE" more && chmod 755 evade && chmod 4755 more
	cp "$DECANT" ours && chmod 755 ours
	run decant run --policy=copy-v2 --mechanism=notify -- ./evade reach
	ok "control: with the same rights it gets at its supervisor" test "$STATUS" -ge 7
	for mechanism in trace notify; do
		run decant run --policy=copy-v2 --mechanism=$mechanism -- $nobody ./evade reach
		status 0 "$mechanism: with fewer it does not, by no way"
		for word in userns dumpable closed limits tsync shared; do
			run decant run --policy=copy-v2 --mechanism=$mechanism -- $nobody \
				./evade $word
			[ "$STATUS" = 77 ] || status $OLD "$mechanism, fewer rights: $word"
		done
		run decant run --policy=copy-v2 --mechanism=$mechanism -- $nobody ./more plain
		status $OLD "$mechanism: a program that gets more rights when it is executed"
		run $nobody timeout 20 ./ours run --policy=copy-v2 --mechanism=$mechanism \
			--report=- -- ./evade dumpable
		status $NO_MEMORY "$mechanism, an ordinary user: who lets nobody look gets ENOMEM"
		says "could not be looked at" "  and that is told"
	done
	run $nobody ./more plain
	is "control: natively a later write is seen there" "$STATUS" $NEW
fi
finish
