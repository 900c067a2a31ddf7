#!/bin/bash
# SPDX-License-Identifier: MIT
# The plan: it tells the route and the reasons, and touches nothing.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.bash"
head -c 3000000 /dev/urandom >src
mkfifo fifo

run decant explain src new
status 0 "file to file"
for word in "from " "to " "route " "CPU copies " "guarantee " "SNAPSHOTTED " "DELIVERED " \
	"expected cost "; do
	prints "$word" "  tells: $word"
done
only "  and makes nothing" fifo src
run decant explain src new --json
is "--json: the route's name is one of the list" \
	"$(decant copy --route help | grep -cxF "$(json "$OUT" 'o["route"]')" | sed 's/[^0]/1/')" 1
for key in copies guarantee snapshotted delivered time_ns cpu_ns note bytes refused assumed; do
	is "--json has $key" "$(json "$OUT" "'$key' in o")" True
done
is "  the bytes expected" "$(json "$OUT" 'o["bytes"]')" 3000000
is "  every refusal has its reason" "$(json "$OUT" \
	'all(r["why"] and r["route"] for r in o["refused"]) and len(o["refused"]) > 0')" True

# What it says is what copy does.
for ends in "src new" "mem:1M null:" "zero:1M new2" "src /dev/null" "fifo null:"; do
	# shellcheck disable=SC2086
	run decant explain $ends --json
	planned=$(json "$OUT" 'o["route"]')
	case $ends in fifo*) cat src >fifo & esac
	# shellcheck disable=SC2086
	run decant copy $ends --json
	is "$ends: copy takes the route that explain told" "$(json "$OUT" 'o["route"]')" "$planned"
done
wait
rm -f new new2

# Nothing is connected, read or changed.
python3 - >port <<'PY' &
import socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(1)
s.settimeout(5)
print(s.getsockname()[1], flush=True)
try:
    s.accept()
    print("somebody came")
except TimeoutError:
    print("nobody came")
PY
while [ ! -s port ]; do sleep 0.05; done
run decant explain src "tcp:127.0.0.1:$(head -1 port)"
status 0 "to a peer"
prints "a loopback connection of our own stands in" "  says what was assumed"
prints "the peer is on this host" "  and where the peer is"
run decant explain src tcp:192.0.2.1:80
status 0 "to a far peer"
prints "not connected; the peer is on another host" "  says so"
run decant explain src tcp:no-such-name.invalid:80
status 0 "to a name, which is not looked up"
prints "assumed to be on another host" "  says so"
run decant explain tcp-listen::0 new
status 0 "from a peer that would come"
run decant explain src unix-listen:sock
status 0 "unix"
prints "a socket pair of our own stands in" "  says so"
run decant explain src unix:absent
status 0 "the peer need not be there"
run timeout 5 "$DECANT" explain src fifo
status 0 "a FIFO without a reader"
prints "a pipe of our own stands in" "  says so"
run timeout 5 "$DECANT" explain fifo new
status 0 "a FIFO without a writer"
run timeout 5 "$DECANT" explain "tcp:[::1]:80" mem:64G
status 0 "memory is not filled"
(decant explain - null: >/dev/null; cat) <src >rest
ok "the position of - stays" cmp src rest
rm -f rest
echo data | (decant explain - null: >/dev/null; cat) >rest
is "a pipe is not read" "$(cat rest)" data
echo old >there
run decant explain src there --in-place
status 0 "--in-place"
is "  the file is not emptied" "$(cat there)" old
run decant explain src there --force
status 0 "--force"
is "  the file is not replaced" "$(cat there)" old
run decant explain src made --to-offset 5
status 0 "--to-offset"
only "nothing was made" fifo port rest src there
wait
is "nobody was called" "$(tail -1 port)" "nobody came"

# What copy refuses, explain refuses.
fails "the file exists" decant explain src there
fails "No such file" decant explain absent new
fails "No such file" decant explain src absent/new
fails "are the same file" decant explain src src --force
run decant explain src new --route vmsplice
status 1 "a route that does not fit"
prints "this route needs memory" "  with the reason"
run decant explain src new --route vmsplice --json
status 1 "  as JSON"
ok "  --live would not help, and is not recommended" test ! -s "$ERR"
is "  with the code" "$(json "$OUT" 'o["error"]["code"]')" ENOTSUP
run decant explain src tcp:localhost:80 --route sendfile
status 1 "a live route where stable is asked for"
says "hint: --live" "  --live would help"

# Flags change the plan.
run decant explain mem:1M fifo --json
is "stable by default" "$(json "$OUT" 'o["guarantee"]')" stable
is "  the zero-copy route is refused" \
	"$(json "$OUT" '[r["guarantee"] for r in o["refused"] if r["route"] == "vmsplice"]')" \
	"['live']"
run decant explain mem:1M fifo --live --route vmsplice --json
is "--live allows it" "$(json "$OUT" 'o["route"], o["guarantee"]')" "('vmsplice', 'live')"
run decant explain mem:1M fifo --route vmsplice
status 1 "  and nothing else does"
run decant explain mem:1M fifo --live --mask vmsplice --json
is "--mask takes it away" "$(json "$OUT" 'o["route"] != "vmsplice"')" True
is "  with the reason" "$(json "$OUT" \
	'"mask" in [r["why"] for r in o["refused"] if r["route"] == "vmsplice"][0]')" True
DECANT_MASK=vmsplice run decant explain mem:1M fifo --live --json
is "DECANT_MASK, too" "$(json "$OUT" 'o["route"] != "vmsplice"')" True
run decant explain src fifo --direct
status 0 "--direct"
run decant explain src fifo --direct --route read-write
status 1 "  refuses routes through the page cache"
prints "no route  read-write: " "  with the reason"
run decant explain src null: -v
prints "this route needs" "-v lists routes for other ends, too"
run decant explain src null:
ok "  which are names only without it" test "$(grep -c 'this route needs' "$OUT")" = 0
prints "For other kinds of ends: " "  in one line"
run decant explain src new --sync --json
is "--sync" "$(json "$OUT" \
	'"durable" in o["delivered"] or "stable storage" in o["delivered"]')" True
run decant explain src new --offset 1000 --length 5K --json
is "--length" "$(json "$OUT" 'o["bytes"]')" 5120
run decant explain src tcp:192.0.2.1:80 --checksum --json
is "--checksum keeps to routes that see the bytes" "$(json "$OUT" \
	'o["copies"] >= 1 or o["route"] in ("map-zc", "map-msgzc", "read-zc", "direct-zc")')" True
finish
