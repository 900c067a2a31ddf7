#!/bin/bash
# SPDX-License-Identifier: MIT
# Every route, forced on every pair of ends: the bytes arrive, or the reason comes.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.bash"
head -c 1500007 /dev/urandom >src
mkfifo fifo
ROUTES=$(decant copy --route help | sort -u)
: >taken

# The other side of the pair; what it got is in `got`.
sink() { # KIND
	rm -f got listen
	case $1 in
	file) TO=got ;;
	tcp) decant copy tcp-listen::0 got 2>listen & PID=$!; TO=tcp:127.0.0.1:$(port_of listen) ;;
	unix) decant copy unix-listen:sock got 2>listen & PID=$!; TO=unix:sock
		wait_text listen listening ;;
	pipe) timeout 30 cat fifo >got & PID=$!; TO=fifo ;;
	null) TO=null: ;;
	esac
}

check() { # NAME: it succeeded with the right bytes, or it was refused with a reason
	if [ "$STATUS" = 0 ]; then
		[ "$2" = null ] || ok "$1: the same bytes" cmp src got
		[ "$2" != null ] || point good "$1"
		echo "$3" >>taken
	else
		is "$1: refused" "$STATUS" 1
		says "route $3: " "  with the reason"
	fi
}

for to in file tcp unix pipe null; do
	for route in $ROUTES; do
		# Planning first: a refusal need not involve a peer.
		case $to in tcp) plan=tcp:127.0.0.1:1 ;; unix) plan=unix:x ;; pipe) plan=fifo ;;
		null) plan=null: ;; *) plan=got ;; esac
		rm -f got
		if ! decant explain src $plan --live --route "$route" >why; then
			ok "$route, file to $to: refused with the reason" \
				grep -q "^no route *$route: " why
			continue
		fi
		PID=
		sink $to
		run decant copy src "$TO" --live --route "$route"
		[ -z "$PID" ] || wait "$PID"
		check "$route, file to $to" $to "$route"
	done
done
for from in pipe tcp memory; do
	for route in $ROUTES; do
		rm -f got listen
		PID=
		case $from in
		pipe) run decant copy - got --live --route "$route" < <(cat src) ;;
		tcp) decant explain tcp:127.0.0.1:1 got --live --route "$route" >why || continue
			decant copy src tcp-listen::0 2>listen & PID=$!
			FROM=tcp:127.0.0.1:$(port_of listen)
			run decant copy "$FROM" got --live --route "$route" ;;
		memory) run decant copy mem:1M got --live --route "$route"
			[ "$STATUS" = 0 ] && decant copy got mem:1M --verify && cp src got ;;
		esac
		[ -z "$PID" ] || wait "$PID"
		check "$route, $from to file" file "$route"
	done
done
ok "more than a dozen routes were taken here" test "$(sort -u taken | wc -l)" -gt 12
echo "# not taken on this machine: $(sort -u taken | comm -13 - <(echo "$ROUTES") | tr '\n' ' ')"
finish
