#!/bin/bash
# SPDX-License-Identifier: MIT
# Peers: connecting, listening, time-outs, and what happens when they go away.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.bash"
head -c 5000011 /dev/urandom >src
SUM=$(sha256sum <src)

# FROM listens, TO connects, or the other way round; the bytes are the same.
listener() { # ARG...: in the background; $PID and $PORT
	rm -f listen
	decant copy "$@" 2>listen & PID=$!
	PORT=$(port_of listen)
}

for size in 0 1 4096 100000 5000011; do
	listener tcp-listen::0 got-$size --checksum=sha256 >sum
	head -c $size src >part
	run decant copy part "tcp:127.0.0.1:$PORT" --checksum=sha256
	status 0 "$size bytes: the sender"
	wait $PID
	is "  the receiver" $? 0
	ok "  the same bytes" cmp part got-$size
	is "  the same checksums" "$(cut -d' ' -f1 sum)" "$(cut -d' ' -f1 "$OUT")"
	is "  which are true" "$(cut -d' ' -f1 sum)" "$(sha256sum <part | cut -d' ' -f1)"
	rm -f got-$size
done
listener src tcp-listen:127.0.0.1:0
run decant copy "tcp:localhost:$PORT" got
status 0 "the source listens, the sink connects, by name"
wait $PID
is "  both are content" "$? $(sha256sum <got)" "0 $SUM"
rm -f got
listener "tcp-listen:[::1]:0" got
run decant copy src "tcp:[::1]:$PORT"
status 0 "IPv6"
wait $PID
ok "  the same bytes" cmp src got
ok "  the address is in brackets" grep -qF 'listening on [::1]:' listen
rm -f got

listener tcp-listen::0 null:
is "one peer only: the port is closed after the first" \
	"$(python3 - "$PORT" <<'PY'
import socket, sys, time
a = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
time.sleep(0.3)
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    print("open")
except ConnectionRefusedError:
    print("closed")
PY
)" closed
wait $PID

rm -f listen
decant copy unix-listen:sock got 2>listen & PID=$!
wait_text listen "listening on sock"
run decant copy src unix:sock
status 0 "unix"
wait $PID
ok "  the same bytes" cmp src got
ok "  the socket's name is gone" test ! -e sock
rm -f got
rm -f listen
decant copy mem:3M unix-listen:sock 2>listen & PID=$!
wait_text listen "listening on"
run decant copy unix:sock mem:4M --verify --json
status 0 "the pattern through a socket"
is "  all of it" "$(json "$OUT" 'o["bytes"]')" 3145728
wait $PID

# What goes wrong before the first byte.
fails "Connection refused" decant copy src tcp:127.0.0.1:1
says "start the receiver first" "  and says what to do"
fails "No such file" decant copy src unix:absent
touch plain
fails "Connection refused" decant copy src unix:plain
fails "Address already in use" decant copy unix-listen:plain got
fails "timed out" decant copy tcp-listen::0 got --timeout 300ms
says "waiting for a peer" "  says what it waited for"
fails "timed out" decant copy unix-listen:sock got --timeout 300ms
ok "  the socket's name is gone" test ! -e sock
fails "no address" decant copy src tcp:no-such-name.invalid:80 --timeout 20s
fails "Cannot assign requested address" decant copy tcp-listen:192.0.2.1:0 got
python3 - >port <<'PY' & holder=$!
import socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(0)
# A full backlog: further connections are neither accepted nor refused.
held = []
for _ in range(4):
    c = socket.socket()
    c.setblocking(False)
    c.connect_ex(s.getsockname())
    held.append(c)
print(s.getsockname()[1], flush=True)
time.sleep(20)
PY
while [ ! -s port ]; do sleep 0.05; done
fails "timed out" decant copy src "tcp:127.0.0.1:$(cat port)" --timeout 500ms
kill $holder
wait $holder 2>/dev/null
listener tcp-listen::0 got --timeout 5s
fails "Address already in use" decant copy "tcp-listen::$PORT" other
kill $PID
wait $PID
only "nothing was left" listen part plain port src sum

# Peers that stand still or go away.
peer() { # PYTHON: s is a listening socket; $PID, $PORT
	rm -f port
	python3 -c "
import socket, struct, sys, time
s = socket.socket()
s.bind(('127.0.0.1', 0))
s.listen(1)
print(s.getsockname()[1], flush=True)
c, _ = s.accept()
$1" >port & PID=$!
	while [ ! -s port ]; do sleep 0.05; done
	PORT=$(cat port)
}
truncate -s 64M big
peer 'time.sleep(10)'
fails "bytes arrived" decant copy big "tcp:127.0.0.1:$PORT" --timeout 500ms
ok "a peer that stands still: time-out" grep -q -- "--timeout" "$ERR"
kill $PID
wait $PID 2>/dev/null
RESET='c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); c.close()'
peer "c.recv(100000); $RESET"
fails "bytes arrived" decant copy big "tcp:127.0.0.1:$PORT" --timeout 20s
wait $PID
peer "c.send(b'x' * 1000); $RESET"
fails "eset" decant copy "tcp:127.0.0.1:$PORT" got
ok "  no file was made" test ! -e got
wait $PID
peer 'c.send(b"x" * 1000); c.close()'
fails "short" decant copy "tcp:127.0.0.1:$PORT" got --length 1001
ok "  no file was made" test ! -e got
wait $PID
peer 'time.sleep(10)'
fails "bytes arrived" decant copy "tcp:127.0.0.1:$PORT" got --timeout 300ms
kill $PID
wait $PID 2>/dev/null

# A sender that fails does not look to its receiver as if it had finished.
rm -f listen
decant copy tcp-listen::0 got 2>listen & PID=$!
PORT=$(port_of listen)
fails "short" decant copy src "tcp:127.0.0.1:$PORT" --length 6M
wait $PID
is "a sender that fails: the receiver fails, too" $? 1
ok "  and makes no file" test ! -e got

# The rate, over a connection and without.
for to in net null:; do
	if [ $to = net ]; then
		listener tcp-listen::0 null:
		to=tcp:127.0.0.1:$PORT
	fi
	start=$(date +%s%N)
	run decant copy mem:1M "$to" --limit-rate 2M
	ms=$((($(date +%s%N) - start) / 1000000))
	wait
	ok "--limit-rate: 1 MiB at 2 MiB/s takes half a second ($ms ms)" \
		test $ms -ge 350 -a $ms -le $((1500 * SLOW))
done

listener tcp-listen::0 null:
run decant copy src "tcp:127.0.0.1:$PORT" --json
is "delivered: acknowledged by the peer's kernel" "$(json "$OUT" 'o["delivered"]["means"]')" acked
wait $PID
listener tcp-listen::0 null:
run decant copy src "tcp:127.0.0.1:$PORT" --json --until sent
status 0 "--until sent"
wait $PID
is "  all of it arrives nevertheless" $? 0

# What is planned is what is done: planning is no transfer that later ones look at.
head -c 64M /dev/urandom >big
for size in 100K 1M 64M; do
	listener tcp-listen::0 null:
	decant explain big "tcp:127.0.0.1:$PORT" --length $size >plan
	run decant copy big "tcp:127.0.0.1:$PORT" --length $size -v
	wait $PID
	is "$size: the route of explain is taken" "$(sed -n '1s/^route \(.*\), .*/\1/p' "$ERR") $(
		sed -n 's/.* by \([a-z-]*\) with .*/\1/p' "$ERR")" \
		"$(sed -n 's/^route *//p' plan) $(sed -n 's/^route *//p' plan)"
done
rm -f big plan

# From a peer to a peer.
rm -f listen
decant copy tcp-listen::0 tcp-listen::0 2>listen & PID=$!
wait_text listen "listening on"
for ((i = 0; i < 100; i++)); do [ "$(wc -l <listen)" = 2 ] && break; sleep 0.05; done
decant copy src "tcp:$(sed -n '1s/.* //p' listen)" & sender=$!
run decant copy "tcp:$(sed -n '2s/.* //p' listen)" got
wait $sender $PID
is "from a peer to a peer" "$? $(sha256sum <got)" "0 $SUM"
finish
