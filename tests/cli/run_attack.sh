#!/bin/bash
# SPDX-License-Identifier: MIT
# Nothing that a supervised program does makes its supervisor act on anything but that
# program's own data; and what it gets when the supervisor dies, by every mechanism.
# shellcheck disable=SC1091,SC2153
. "$(dirname "$0")/lib.bash"
ATTACK=${DECANT_BUILD:?}/tests/programs/program-attack

# ------------------------------------------- a descriptor that is another one when it counts
if [ "$(id -u)" = 0 ]; then
	chmod 755 . && mkfifo fifo && chmod 666 fifo && cp "$ATTACK" attack && chmod 755 attack
	for mechanism in trace notify; do
		for policy in copy-v1 copy-v2; do
			echo "not to be written to" >file && chmod 644 file
			run decant run --policy=$policy --mechanism=$mechanism -- \
				./attack swap fifo file 1000
			status 0 "$policy by $mechanism: a FIFO that becomes a file while we look"
			is "  the file is as it was" "$(cat file)" "not to be written to"
			ok "  control: it was now the one, now the other" \
				grep -qE '^[1-9][0-9]* [1-9]' "$OUT"
		done
	done
fi

# ------------------------------------------------------- nonsense in memory that is shared
for i in 1 2 3 4 5; do
	run decant run --policy=audit --mechanism=preload --report=r.txt -- \
		"$ATTACK" scribble $((500 * SLOW))
	status 0 "nonsense in the counts, $i: no crash"
	ok "  and a report" grep -aq '^policy .*, by preload' r.txt
done
for i in 1 2 3; do
	run decant run --policy=audit --mechanism=preload --report=r.json --json -- \
		"$ATTACK" scribble $((500 * SLOW))
	ok "JSON of nonsense, $i, is JSON" python3 -c 'import json
json.load(open("r.json", encoding="utf-8", errors="replace"))'
done

# ----------------------------------------------------------------- the supervisor is killed
supervised() { # MECHANISM WORD: its pid is $SUPERVISOR, the program's in $OUT
	"$DECANT" run --policy=copy-v2 --mechanism="$1" -- "$ATTACK" "$2" >"$OUT" 2>"$ERR" &
	SUPERVISOR=$!
	wait_text "$OUT" "pid "
	sleep 0.3
}
orphaned() { # the supervisor goes, the program has a while, and goes too
	kill -KILL "$SUPERVISOR"
	wait "$SUPERVISOR" 2>/dev/null
	lines=$(wc -l <"$OUT")
	sleep 0.5
	kill -KILL "$(sed -n "s,^pid ,,p" "$OUT")" 2>/dev/null
}
"$ATTACK" ping >"$OUT" &
SUPERVISOR=$!
wait_text "$OUT" new
kill "$SUPERVISOR"
wait "$SUPERVISOR" 2>/dev/null
ok "control: natively the later bytes show" grep -q new "$OUT"

supervised trace ping
orphaned
ok "trace: the program does not go on" test "$(wc -l <"$OUT")" -le $((lines + 1))
ok "  and never ran as the kernel has it" test "$(grep -c new "$OUT")" = 0

supervised notify ping
orphaned
ok "notify: the program goes on" test "$(wc -l <"$OUT")" -gt $((lines + 2))
is "  its calls are ENOSYS" "$(tail -1 "$OUT")" ENOSYS
ok "  and never ran as the kernel has them" test "$(grep -c new "$OUT")" = 0
supervised notify block
kill -KILL "$SUPERVISOR"
wait "$SUPERVISOR" 2>/dev/null
wait_text "$OUT" ENOSYS
ok "  who waits in one is let go" grep -q '^ENOSYS$' "$OUT"

supervised preload ping
orphaned
ok "preload: the program goes on" test "$(wc -l <"$OUT")" -gt $((lines + 2))
is "  under its policy" "$(tail -1 "$OUT")" old
ok "  which it always was" test "$(grep -c new "$OUT")" = 0
finish
