#!/bin/bash
# SPDX-License-Identifier: MIT
# Interrupted: nothing is left behind, and the status says so.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.bash"
head -c 3000001 /dev/urandom >src

# A slow copy in the background, as a shell with a terminal would start it
# (without one, SIGINT is ignored there); $PID
start() {
	rm -f events
	env --default-signal=INT "$DECANT" copy "$@" --limit-rate 100K --events 5 \
		5>events 2>err & PID=$!
	wait_text events progress
}

# Until $PID is decant itself: before that the shell's SIGINT is still ignored.
started() {
	local i
	for ((i = 0; i < 200 * SLOW; i++)); do
		[ "$(cat "/proc/$PID/comm" 2>/dev/null)" = decant ] && break
		sleep 0.05
	done
	sleep 0.3
}

for signal in INT:130 TERM:143 HUP:129; do
	start src new
	kill -"${signal%:*}" $PID
	wait $PID
	is "SIG${signal%:*}: status ${signal#*:}" $? "${signal#*:}"
	ok "  says so" grep -q "interrupted: SIG${signal%:*}" err
	ok "  and how far it came" grep -q "of 3000001 bytes arrived" err
	ok "  no file is left" test ! -e new
	is "  the events end with it" "$(json_lines events 'o[-1]["event"], o[-1]["status"]')" \
		"('finished', ${signal#*:})"
	is "  and with a cancelled transfer" \
		"$(json_lines events '[e["error"] for e in o if e["event"] == "ended"]')" \
		"['ECANCELED']"
done
start src new --partial
kill -INT $PID
wait $PID
is "--partial: status 130" $? 130
ok "  what arrived is kept" test -s new.partial
ok "  it is the beginning" cmp -n "$(stat -c %s new.partial)" src new.partial
ok "  no more than was said" grep -q "^  $(stat -c %s new.partial) of 3000001 bytes" err
rm -f new.partial

echo old >there
start src there --force
kill -INT $PID
wait $PID
is "a file that was to be replaced stays" "$? $(cat there)" "130 old"
start src there --force
kill -KILL $PID
wait $PID 2>/dev/null
is "  even after SIGKILL" "$(cat there)" old
only "  which leaves nothing either" err events src there

# Before the first byte, too.
for from in tcp-listen::0 unix-listen:sock; do
	rm -f err
	env --default-signal=INT "$DECANT" copy $from new 2>err & PID=$!
	wait_text err "listening on"
	kill -INT $PID
	wait $PID
	is "waiting for a peer of $from" $? 130
done
ok "  the socket's name is gone" test ! -e sock
mkfifo fifo
for ends in "src fifo" "fifo new"; do
	# shellcheck disable=SC2086
	env --default-signal=INT "$DECANT" copy $ends 2>err & PID=$!
	started
	kill -INT $PID
	wait $PID
	is "waiting for the FIFO: $ends" $? 130
done
# A reader that stands still does not keep us from leaving.
(exec 3<>fifo; env --default-signal=INT "$DECANT" copy src fifo 2>err & PID=$!
started
kill -INT $PID
wait $PID
echo $? >st)
is "a reader that stands still" "$(cat st)" 130
mkfifo events-fifo
exec 6<>events-fifo
env --default-signal=INT "$DECANT" copy src null: --limit-rate 500K --events 6 2>err & PID=$!
started
head -c 60000 /dev/zero >&6
sleep 0.7
kill -INT $PID
sleep 0.3
kill -INT $PID 2>/dev/null
wait $PID
is "a reader of events that stands still" $? 130
exec 6<&-
rm -f fifo events-fifo st

rm -f listen
decant copy tcp-listen::0 got 2>listen & receiver=$!
port=$(port_of listen)
start src "tcp:127.0.0.1:$port"
kill -INT $PID
wait $PID
is "a sender that is interrupted" $? 130
wait $receiver
is "  its receiver does not take the part for the whole" $? 1
ok "  and makes no file" test ! -e got

# Who was started with the signal ignored goes on.
rm -f events
(trap '' INT; exec "$DECANT" copy src new --limit-rate 3M --events 5 5>events) & PID=$!
wait_text events progress
kill -INT $PID
wait $PID
is "SIGINT that was ignored stays ignored" "$?" 0
ok "  the file is whole" cmp src new
finish
