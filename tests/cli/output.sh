#!/bin/bash
# SPDX-License-Identifier: MIT
# What is printed where: checksums, JSON, events, progress, words for people.
# shellcheck disable=SC1091,SC2016
. "$(dirname "$0")/lib.bash"
head -c 3000001 /dev/urandom >src

# Checksums, as the tools of that name print and check them.
run decant copy src a --checksum=sha256
is "--checksum=sha256" "$(cat "$OUT")" "$(sha256sum a)"
ok "  sha256sum checks it" sha256sum --status -c "$OUT"
run decant copy src b --checksum
is "--checksum is xxh3" "$(cat "$OUT")" "$(xxhsum -H3 b)"
ok "  xxhsum checks it" xxhsum -c "$OUT"
run decant copy src c --checksum=none
silent "--checksum=none"
run decant copy src null: --checksum=sha256
is "the name is the sink's, else the source's" "$(cat "$OUT")" "$(sha256sum src)"
run decant copy - null: --checksum=sha256 <src
is "  else -" "$(cat "$OUT")" "$(sha256sum - <src)"
decant copy src - --checksum=sha256 2>err >out
ok "with the sink on stdout it goes to stderr" cmp src out
is "  like this" "$(cat err)" "$(sha256sum src)"
for route in read-send read-write; do
	rm -f listen
	decant copy unix-listen:s null: 2>listen & pid=$!
	wait_text listen listening
	run decant copy src unix:s --route $route --checksum=sha256
	is "by $route" "$(cat "$OUT")" "$(sha256sum src)"
	wait $pid
done
fails "a checksum was asked for" decant copy src null: --route null --checksum
# Of the bytes that were moved, not of what the file holds now.
mkfifo fifo
(sleep 1; cat fifo) >slow & pid=$!
decant copy src fifo --checksum=sha256 --limit-rate 8M >sum & copy=$!
wait $copy
wait $pid
is "of the bytes moved" "$(cut -d' ' -f1 sum)" "$(sha256sum <slow | cut -d' ' -f1)"

# --json
run decant copy src new --json --checksum=sha256
for pair in status=0 from=src to=new bytes=3000001 promised=3000001 offset=3000001 \
	error=None partial=None listening=None guarantee=stable; do
	is "--json: $pair" "$(json "$OUT" "o['${pair%=*}']")" "${pair#*=}"
done
is "  the checksum is in it" "$(json "$OUT" 'o["checksum"]["digest"]')" \
	"$(sha256sum <src | cut -d' ' -f1)"
is "  one line on stdout" "$(wc -l <"$OUT")$(wc -c <"$ERR")" 10
is "  its moments are in order" "$(json "$OUT" \
	'0 < o["snapshotted"]["seconds"] <= o["delivered"]["seconds"] <= o["seconds"] < 60')" True
is "  the certainty" "$(json "$OUT" 'o["snapshotted"]["certain"]')" True
is "  the meaning" "$(json "$OUT" 'o["delivered"]["means"]')" written
decant copy src - --json 2>err >out
ok "with the sink on stdout it goes to stderr" cmp src out
is "  whole" "$(json err 'o["to"], o["delivered"]["means"]')" "('-', 'written')"
run decant copy src more --json --length 4M --partial
status 1 "after a failure"
is "  the error's name" "$(json "$OUT" 'o["error"]["code"]')" ENODATA
is "  how far" "$(json "$OUT" 'o["bytes"], o["promised"], o["offset"]')" \
	"(3000001, 4194304, 3000001)"
is "  what was kept" "$(json "$OUT" 'o["partial"]')" more.partial
run decant copy absent more --json
is "a failure before the first byte" \
	"$(json "$OUT" 'o["status"], o["error"]["code"], o["bytes"]')" "(1, 'ENOENT', 0)"
run decant copy "$(printf 'a\377"\\\n')" b2 --json
is "odd names are still JSON" "$(json "$OUT" 'o["error"]["code"]')" ENOENT

# --events
run decant copy src e1 --events 5 5>events
silent "--events prints nothing else"
is "the last events, in order" "$(json_lines events \
	'[e["event"] for e in o if e["event"] != "progress" and e["event"] != "released"]')" \
	"['snapshotted', 'delivered', 'ended', 'finished']"
is "  released is among them" "$(json_lines events '[e["event"] for e in o].count("released")')" 1
is "  times never go back" "$(json_lines events \
	'all(a["time_ns"] <= b["time_ns"] for a, b in zip(o, o[1:]))')" True
is "  bytes" "$(json_lines events '[e["bytes"] for e in o if e["event"] == "ended"]')" "[3000001]"
is "  the status" "$(json_lines events 'o[-1]["status"]')" 0
decant copy src - --events 2 2>events >/dev/null
is "--events 2" "$(json_lines events 'o[-1]["event"]')" finished
rm -f events
decant copy tcp-listen::0 e2 -q --events 5 5>events 2>err & pid=$!
wait_text events listening
port=$(json_lines events 'o[0]["port"]')
run decant copy src "tcp:127.0.0.1:$port"
status 0 "listening is an event with the port"
wait $pid
is "  and not a word with -q" "$(wc -c <err)" 0
# At the moment they happen: the first comes long before the last.
decant copy mem:1M null: --limit-rate 1M --events 5 5> >(
	while read -r line; do echo "$(date +%s%N) $line"; done >stamped)
for ((i = 0; i < 100; i++)); do grep -q finished stamped && break; sleep 0.05; done
first=$(head -1 stamped | cut -d' ' -f1) last=$(tail -1 stamped | cut -d' ' -f1)
ok "events come when they happen" test $(((last - first) / 1000000)) -ge 300
# A source that cannot change is safe at once, and goes on to be told of.
rm -f err
decant copy tcp-listen::0 null: 2>err & pid=$!
port=$(port_of err)
python3 - "$DECANT" "$port" >sealed <<'PY'
import fcntl, os, subprocess, sys
fd = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
os.write(fd, bytes(1 << 20))
fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
sys.exit(subprocess.call([sys.argv[1], "copy", f"fd:{fd}", "tcp:127.0.0.1:" + sys.argv[2],
                          "--offset", "0", "--route", "sendfile", "--limit-rate", "2M",
                          "--events", "1", "--timeout", "30s"], pass_fds=[fd]))
PY
is "sendfile of a sealed memory file is stable" $? 0
wait $pid
is "  all of it is safe at once" "$(json_lines sealed \
	'o[0]["event"], o[0]["bytes"], o[0]["certain"]')" "('snapshotted', 1048576, True)"
ok "  progress is told all the same" test "$(grep -c '"progress"' sealed)" -ge 3
is "  in order" "$(json_lines sealed \
	'all(a["time_ns"] <= b["time_ns"] for a, b in zip(o, o[1:]))')" True
decant copy src e3 --events 5 5> >(exec true) 2>err
is "a reader of events that is gone" $? 1
ok "  says so" grep -q -- "--events" err

# --progress
run decant copy src p1 --progress=5 5>lines
silent "--progress=FD prints nothing else"
is "its last line is the whole" "$(tail -1 lines)" 3000001/3000001
ok "  all lines are N/TOTAL, and grow" awk -F/ '$1 < last || $2 != 3000001 { exit 1 }
	{ last = $1 }' lines
decant copy - p2 --progress=5 5>lines < <(cat src)
is "  without a total" "$(tail -1 lines)" 3000001/-
decant copy mem:1M null: --limit-rate 1M --progress=5 5>lines
ok "  more than one for a slow copy" test "$(wc -l <lines)" -gt 2
(head -c 3000000 src; wait_text paused go; cat src) |
	decant copy - burst --progress=5 5>lines & pid=$!
wait_text lines 3000000/-
is "what came before a pause is told during it" $? 0
echo go >paused
wait $pid
run decant copy src p3 --progress
silent "--progress: no bar where there is no terminal"
cat >terminal.py <<'PY'
import os, pty, sys, struct, fcntl, termios
# stderr is a terminal of 70 columns; stdout is not.
master, slave = os.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
pid = os.fork()
if pid == 0:
    os.dup2(slave, int(sys.argv[1]))
    os.close(master)
    os.execvp(sys.argv[2], sys.argv[2:])
os.close(slave)
data = b""
try:
    while chunk := os.read(master, 65536):
        data += chunk
except OSError:
    pass
sys.stdout.buffer.write(data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
export TERM=xterm
run python3 terminal.py 2 "$DECANT" copy mem:1M null: --limit-rate 1M -p
status 0 "on a terminal"
prints "100% [" "  there is a bar"
prints "MiB/s" "  with the rate"
prints "left" "  and the time left"
tr '\r' '\n' <"$OUT" | sed 's/\x1b\[K//' >drawn
ok "  as wide as the terminal at most" test "$(wc -L <drawn)" -le 70
run python3 terminal.py 2 "$DECANT" copy src p5
is "  not unasked" "$(cat "$OUT")" ""

# Words
run decant copy src v1 -v
status 0 "-v"
says "route " "  tells the route"
says "snapshotted after " "  when the source was free"
says "delivered after " "  when it was delivered"
says "MiB in " "  and the speed"
is "  on stderr" "$(wc -c <"$OUT")" 0
run decant copy src v2 -q
silent "-q"
run decant copy absent v3 -q
says "No such file" "-q: errors are printed all the same"

for command in probe "explain src null:"; do
	# shellcheck disable=SC2086
	run python3 terminal.py 1 "$DECANT" $command
	ok "$command: colours on a terminal" grep -q $'\033' "$OUT"
	sed 's/\x1b\[[0-9]*m//g; s/\r//' "$OUT" >plain
	ok "  wrapped at its width" test "$(wc -L <plain)" -le 70
	# shellcheck disable=SC2086
	NO_COLOR=1 run python3 terminal.py 1 "$DECANT" $command
	ok "  none with NO_COLOR" test "$(grep -c $'\033' "$OUT")" = 0
	# shellcheck disable=SC2086
	run decant $command
	ok "  none in a file" test "$(grep -c $'\033' "$OUT")" = 0
done
finish
