#!/bin/bash
# SPDX-License-Identifier: MIT
# Peers that are somebody else's programs: socat, curl, bash, a plain Python
# socket; each against us as a sender, a receiver, a listener and a caller.
# shellcheck disable=SC1091
. "$(dirname "$0")/../cli/lib.bash"
head -c 5000011 /dev/urandom >src
SUM=$(sha256sum <src | cut -d' ' -f1)

limited() {
	timeout -k 5 "$LIMIT" "$@"
}

# A listening socat, in the background: $PID, $PORT.
socat_listen() { # ADDRESS of the other side
	rm -f said
	limited socat -d -d -u "$@" 2>said & PID=$!
	wait_text said "listening on"
	PORT=$(sed -n 's/.*listening on AF=2 .*:\([0-9]*\)$/\1/p' said | head -1)
}

listener() { # decant copy ARG...: in the background; $PID, $PORT
	rm -f said
	decant copy "$@" 2>said & PID=$!
	wait_text said "listening on"
	PORT=$(sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' said)
}

# We send.  Every route that can: what leaves differs from route to route.
for how in "" --live "--checksum=sha256" "--route read-send" "--route map-send" \
	"--route map-zc" "--route map-msgzc" "--route read-zc" "--route direct-zc" \
	"--route direct-splice" "--live --route sendfile" "--live --route splice" \
	"--backend threads" "--limit-rate 20M" "--mask io_uring,msg_zerocopy,sendfile,splice"; do
	socat_listen TCP-LISTEN:0,bind=127.0.0.1 CREATE:got
	# shellcheck disable=SC2086
	run decant copy src "tcp:127.0.0.1:$PORT" $how
	status 0 "to socat, ${how:-as planned}"
	wait $PID
	is "  it has the same bytes" "$? $(sha256sum <got | cut -d' ' -f1)" "0 $SUM"
	rm -f got
done
for size in 0 1 4095 65537; do
	head -c $size src >part
	socat_listen TCP-LISTEN:0,bind=127.0.0.1 CREATE:got
	run decant copy part "tcp:127.0.0.1:$PORT"
	wait $PID
	ok "to socat, $size bytes" cmp part got
	rm -f got
done
socat_listen "TCP6-LISTEN:0,bind=[::1]" CREATE:got
PORT=$(sed -n 's/.*listening on AF=10 .*:\([0-9]*\)$/\1/p' said | head -1)
run decant copy src "tcp:[::1]:$PORT"
wait $PID
ok "to socat, IPv6" cmp src got
rm -f got
rm -f said
limited socat -d -d -u UNIX-LISTEN:sock CREATE:got 2>said & PID=$!
wait_text said "listening on"
run decant copy src unix:sock
wait $PID
ok "to socat, AF_UNIX" cmp src got
rm -f got sock

# A peer that fetches: we listen.
listener src tcp-listen::0
limited socat -u "TCP:127.0.0.1:$PORT" CREATE:got
wait $PID
is "socat fetches" "$? $(sha256sum <got | cut -d' ' -f1)" "0 $SUM"
rm -f got
listener src unix-listen:sock
limited socat -u UNIX-CONNECT:sock CREATE:got
wait $PID
is "socat fetches, AF_UNIX" "$? $(sha256sum <got | cut -d' ' -f1)" "0 $SUM"
rm -f got
for ((i = 0; i < 5; i++)); do
	listener src tcp-listen::0
	limited curl -s --http0.9 "http://127.0.0.1:$PORT/" -o got
	is "curl fetches, though nobody reads its request" $? 0
	wait $PID
	is "  both have the same" "$? $(sha256sum <got | cut -d' ' -f1)" "0 $SUM"
	rm -f got
done
(printf 'HTTP/1.0 200 OK\r\nContent-Length: 5000011\r\n\r\n'; cat src) >answer
listener answer tcp-listen::0
is "curl takes a file with a header for an answer" \
	"$(limited curl -s "http://127.0.0.1:$PORT/" | sha256sum | cut -d' ' -f1)" "$SUM"
wait $PID
listener src tcp-listen::0
is "bash fetches" \
	"$(limited bash -c "cat </dev/tcp/127.0.0.1/$PORT" | sha256sum | cut -d' ' -f1)" "$SUM"
wait $PID

# They send, we receive.
for how in "" --live --checksum "--route read-write" "--route recv-splice" "--route recv-direct" \
	"--backend threads" --sync --direct; do
	# shellcheck disable=SC2086
	listener tcp-listen::0 got $how >/dev/null
	limited socat -u OPEN:src "TCP:127.0.0.1:$PORT"
	wait $PID
	is "from socat, ${how:-as planned}" "$? $(sha256sum <got | cut -d' ' -f1)" "0 $SUM"
	rm -f got
done
listener tcp-listen::0 got
limited bash -c "cat src >/dev/tcp/127.0.0.1/$PORT"
wait $PID
is "from cat, through bash" "$? $(sha256sum <got | cut -d' ' -f1)" "0 $SUM"
rm -f got
listener tcp-listen::0 got
limited bash -c "dd if=src bs=7k status=none >/dev/tcp/127.0.0.1/$PORT"
wait $PID
is "from dd, in odd pieces" "$? $(sha256sum <got | cut -d' ' -f1)" "0 $SUM"
rm -f got
listener unix-listen:sock got
limited socat -u OPEN:src UNIX-CONNECT:sock
wait $PID
is "from socat, AF_UNIX" "$? $(sha256sum <got | cut -d' ' -f1)" "0 $SUM"
rm -f got
socat_listen OPEN:src TCP-LISTEN:0,bind=127.0.0.1
run decant copy "tcp:127.0.0.1:$PORT" got
wait $PID
is "we fetch from socat" "$STATUS $(sha256sum <got | cut -d' ' -f1)" "0 $SUM"
rm -f got

# Through the middle: another program's relay between two of us.
listener tcp-listen::0 got
limited socat -d -d -u TCP-LISTEN:0,bind=127.0.0.1 "TCP:127.0.0.1:$PORT" 2>relay & relay=$!
wait_text relay "listening on"
run decant copy src "tcp:127.0.0.1:$(sed -n \
	's/.*listening on AF=2 .*:\([0-9]*\)$/\1/p' relay | head -1)"
wait $PID
is "through socat's relay" "$? $(sha256sum <got | cut -d' ' -f1)" "0 $SUM"
wait $relay
rm -f got

# A part must not look like the whole to others either.
socat_listen TCP-LISTEN:0,bind=127.0.0.1 CREATE:got
fails "short" decant copy src "tcp:127.0.0.1:$PORT" --length 6M
wait $PID
ok "socat sees that the sender failed" grep -q "reset by peer" said
rm -f got
listener zero:64M tcp-listen::0
limited socat -u "TCP:127.0.0.1:$PORT" - 2>/dev/null | head -c 1000 >/dev/null
wait $PID
is "we see that socat's reader left" $? 1
ok "  and say how far it came" grep -q "of 67108864 bytes arrived" said
finish
