#!/bin/bash
# SPDX-License-Identifier: MIT
# decant core: where cores go, what is refused, what is told.
# shellcheck disable=SC1091,SC2016,SC2024
. "$(dirname "$0")/lib.bash"
need_root

# A process with threads and some memory; it counts on while it is looked at.
cat >victim.py <<'END'
import mmap, sys, threading, time
size = int(sys.argv[1]) << 20
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, size, 4096):
    memory[at:at + 8] = at.to_bytes(8, "little")
for i in range(3):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("ready", flush=True)
time.sleep(1000)
END
victim() { # MIB: $VICTIM
	rm -f ready
	python3 victim.py "$1" >ready &
	VICTIM=$!
	wait_text ready ready
}

# What of a process would show that it was touched.
state_of() { # PID
	grep -E '^(State|TracerPid|Threads|SigPnd|SigBlk|SigIgn|SigCgt)' "/proc/$1/status"
	find "/proc/$1/fd" -type l | wc -l
	wc -l <"/proc/$1/maps"
	cat "/proc/$1/task/"*/children
}

gdb_threads() { # FILE
	gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'info threads' \
		"$(readlink -f "$(command -v python3)")" "$1" 2>&1 |
		grep -cE '^[* ] +[0-9]+ +(Thread|LWP) '
}

is_core() { # NAME FILE
	is "$1" "$(gdb_threads "$2")" 4
}

victim 8
state_of "$VICTIM" >before

# Where it goes.
run decant core "$VICTIM" --max-pause 10s
status 0 "a core of a process with four threads"
is "  nothing on stdout, one line on stderr" "$(wc -l <"$OUT") $(wc -l <"$ERR")" "0 1"
says "core.$VICTIM: " "  with the file's name"
says "the process stood still for" "  and the pause"
ok "  the file has the process's number" test -f "core.$VICTIM"
is "  only its owner may read it" "$(stat -c %a "core.$VICTIM")" 600
is_core "  gdb finds all threads" "core.$VICTIM"
ok "  readelf reads it" bash -c "readelf -lnW core.$VICTIM | grep -q NT_PRPSINFO"
state_of "$VICTIM" >after
ok "the process is as before" diff before after
only "nothing else is left" "core.$VICTIM" after before ready victim.py
cp "core.$VICTIM" first

fails "the file exists" decant core "$VICTIM"
says "hint: --force" "  says what to do"
ok "  it stays as it was" cmp first "core.$VICTIM"
chmod 644 "core.$VICTIM"
chown 65534:65534 "core.$VICTIM"
run decant core "$VICTIM" --force -q
status 0 "--force"
silent "  --quiet"
is "  hands neither permissions nor owner on" "$(stat -c '%a %u' "core.$VICTIM")" "600 0"
rm -f "core.$VICTIM"
mkfifo "core.$VICTIM"
fails "the file exists" decant core "$VICTIM"
fails "is no regular file" decant core "$VICTIM" --force
rm -f "core.$VICTIM"
ln -s nowhere "core.$VICTIM"
fails "the file exists" decant core "$VICTIM"
rm -f "core.$VICTIM"
mkdir directory
fails "is a directory" decant core "$VICTIM" -o directory
fails "No such file" decant core "$VICTIM" -o absent/core
run script -qec "'$DECANT' core $VICTIM -o -" /dev/null
is "to a terminal" "$STATUS" 1
prints "is a terminal" "  is refused"

# Streams.
decant core "$VICTIM" -q -o - | cat >piped
is_core "through a pipe" piped
decant core "$VICTIM" -q -o - >redirected
is_core "into a file that the shell opened" redirected
ok "  with holes" test "$(stat -c %b redirected)" -lt "$(($(stat -c %s redirected) / 512))"
fails "cannot be appended" bash -c "'$DECANT' core $VICTIM -o - >>redirected"
fails "cannot be appended" bash -c "(echo; exec '$DECANT' core $VICTIM -o -) >more"
decant core "$VICTIM" -q -o fd:7 7>seven
is_core "into a descriptor" seven
run decant core "$VICTIM" -o fd:77
status 2 "a descriptor that is not open"
mkfifo fifo
cat fifo >from-fifo & reader=$!
run decant core "$VICTIM" -o fifo
status 0 "into a FIFO"
wait $reader
is_core "  whole" from-fifo
decant copy tcp-listen::0 from-net 2>listen & reader=$!
run decant core "$VICTIM" -o "tcp:127.0.0.1:$(port_of listen)"
status 0 "to a peer"
wait $reader
is_core "  whole" from-net
fails "a stream takes no page twice" \
	bash -o pipefail -c "'$DECANT' core $VICTIM --strategy precopy -o - | cat >/dev/null"
fails "Broken pipe" bash -o pipefail -c "'$DECANT' core $VICTIM -o - | true"
run decant core "$VICTIM" --compress zstd -o small
status 0 "--compress zstd"
ok "  is smaller" test "$(stat -c %s small)" -lt "$(stat -c %s piped)"
zstd -qdc small >unpacked
is_core "  unpacked it is a core" unpacked
rm -f piped redirected seven from-fifo from-net small unpacked more

# Every strategy.
for strategy in precopy fork stop; do
	run decant core "$VICTIM" --strategy $strategy --json -o by-$strategy
	status 0 "--strategy $strategy"
	is "  was taken" "$(json "$OUT" 'o["strategy"]')" $strategy
	is_core "  a core" by-$strategy
	rm -f by-$strategy
done
# Where the kernel cannot tell what was written.
run decant core "$VICTIM" --mask uffd_wp_async,soft_dirty --json -o masked
is "without tracking: fork" "$(json "$OUT" 'o["strategy"]')" fork
is_core "  a core" masked
rm -f masked
fails "soft-dirty" decant core "$VICTIM" --mask uffd_wp_async,soft_dirty --strategy precopy
run decant core "$VICTIM" -v
status 0 "--verbose"
says "strategy " "  says the strategy"
says "4 threads" "  and what it took"
rm -f "core.$VICTIM"

# What belongs in it.
size_of() { # OPTION...: blocks of a core made with these
	decant core "$VICTIM" -q -f -o sized "$@" && stat -c %b sized
}
default=$(size_of --filter 0x33)
ok "--filter 0 takes less" test "$(size_of --filter 0)" -lt $((default / 2))
ok "--all takes more" test "$(size_of --all)" -gt "$default"
rm -f sized

# For programs.
run decant core "$VICTIM" --json -o j
is "--json: one line on stdout" "$(wc -l <"$OUT") $(wc -c <"$ERR")" "1 0"
is "  what and where" "$(json "$OUT" 'o["status"], o["pid"], o["output"], o["error"]')" \
	"(0, $VICTIM, 'j', None)"
is "  numbers that fit together" "$(json "$OUT" \
	'(0 < o["pause_ns"] <= o["pauses_ns"] < o["total_ns"] and o["threads"] == 4 and
	o["copied_bytes"] >= 8 << 20 and o["file_bytes"] >= o["memory_bytes"] > 8 << 20 and
	o["unreadable_bytes"] == 0 and o["stops"] >= 1)')" True
is "  the file's length" "$(json "$OUT" 'o["file_bytes"]')" "$(stat -c %s j)"
decant core "$VICTIM" --json -o - >j2 2>err
is "with the core on stdout it goes to stderr" "$(json err 'o["output"]')" -
run decant core "$VICTIM" --json -o j
status 1 "a failure"
is "  has a code" "$(json "$OUT" 'o["status"], o["error"]["code"]')" "(1, 'EEXIST')"
run decant core "$VICTIM" -q -o j3 --progress=5 5>lines
is "--progress=FD ends with all" "$(tail -1 lines | sed 's,\(.*\)/\1$,same,')" same
rm -f j j2 j3 err lines

run decant core "$VICTIM" --explain
status 0 "--explain"
prints "auto would take" "  says what would be taken"
for strategy in precopy fork stop; do
	ok "  foresees $strategy" grep -q "^$strategy " "$OUT"
done
run decant core "$VICTIM" --explain --json --max-pause 1s
is "  as JSON" "$(json "$OUT" '[f["strategy"] for f in o["forecasts"]], o["max_pause_ns"]')" \
	"(['precopy', 'fork', 'stop'], 1000000000)"
ok "  writes nothing" test ! -e "core.$VICTIM"

fails "stays below a pause" decant core "$VICTIM" --max-pause 1us
says "hint: --explain" "  says what can be done"
ok "  leaves no file" test ! -e "core.$VICTIM"
run decant core "$VICTIM" --max-pause 1us --best-effort
status 0 "  --best-effort goes on"
says "longer than --max-pause" "  and says so"
rm -f "core.$VICTIM"
fails "not done within" decant core "$VICTIM" --timeout 10ms --limit-rate 1M
ok "  leaves no file" test ! -e "core.$VICTIM"
# 4 s for 16 MiB: pieces are larger than what may be read in a moment.
fails "not done within" decant predump "$VICTIM" -D slow --timeout 2s --limit-rate 4M
rm -rf slow
state_of "$VICTIM" >after
ok "after all that the process is as before" diff before after

# Refusals.
usage "PID is missing" core
usage "is not a whole number" core self
usage "one word too many" core 1 2
usage "say one of them" core 1 -q -v
true &
gone=$!
wait $gone
fails "$gone" decant core $gone
says "no such process" "  there is no such process"
run bash -c 'exec "$0" core $$' "$DECANT"
status 1 "itself"
fails "kernel thread" decant core 2
python3 -c 'import os, time
if os.fork() == 0: os._exit(0)
time.sleep(1000)' & parent=$!
# Seen twice, for where python3 is a script it has children of its own before.
for ((i = 0; i < 100; i++)); do
	before=${zombie-}
	zombie=$(cat "/proc/$parent/task/$parent/children" 2>/dev/null)
	[[ $zombie == "$before" ]] && grep -qs "^State:.*Z" "/proc/${zombie% }/status" && break
	sleep 0.05
done
fails "zombie" decant core "${zombie% }"
kill $parent
cp "$DECANT" program
chmod 711 .
fails "$VICTIM" setpriv --reuid=65534 --regid=65534 --clear-groups \
	./program core "$VICTIM" -o /tmp/x
says "CAP_SYS_PTRACE" "  somebody else's process: says what is missing"
rm -f program
run gdb -nx -batch -iex 'set debuginfod enabled off' -p "$VICTIM" \
	-ex "shell '$DECANT' core $VICTIM 2>traced; echo \$? >traced-status"
is "a process in a debugger" "$(cat traced-status)" 1
ok "  says in which" grep -q 'traced.*gdb' traced
ok "  says what to do" grep -q 'hint: detach' traced
rm -f traced traced-status
only "no refusal left a file" after before directory fifo first listen ready victim.py

# Disks that are full.
mkdir full
in_full() { # SIZE COMMAND
	unshare -m bash -c "mount -t tmpfs -o size=$1 tmpfs full && $2"
}
export VICTIM
fails "do not fit into" in_full 4m '"$DECANT" core $VICTIM -o full/core; s=$?; ls -A full; exit $s'
is "  nothing is left there" "$(cat "$OUT")" ""
fails "do not fit into" in_full 4m '"$DECANT" core $VICTIM -o - >full/core'
victim 32
fails "No space left" in_full 64m '"$DECANT" core $VICTIM -o full/core --limit-rate 16M & pid=$!
	sleep 0.5; dd if=/dev/zero of=full/other bs=1M count=50 2>/dev/null
	wait $pid; s=$?; rm full/other; ls -A full; exit $s'
is "  full in the middle: nothing is left" "$(cat "$OUT")" ""
says "make room" "  says what can be done"
fails "File too large" bash -c 'ulimit -f 4000; trap "" XFSZ; exec "$DECANT" core $VICTIM'
ok "  leaves no file" test ! -e "core.$VICTIM"

# Interrupted.
state_of "$VICTIM" >before
for signal in INT:130 TERM:143 HUP:129; do
	rm -f lines
	env --default-signal=INT "$DECANT" core "$VICTIM" --limit-rate 4M --progress=5 5>lines \
		2>err & PID=$!
	wait_text lines /
	kill -"${signal%:*}" $PID
	wait $PID
	is "SIG${signal%:*}: status ${signal#*:}" $? "${signal#*:}"
	ok "  says so" grep -q "interrupted: SIG${signal%:*}" err
	ok "  no file is left" test ! -e "core.$VICTIM"
done
# A reader that stands still does not keep us.
(exec 6<>fifo; env --default-signal=INT "$DECANT" core "$VICTIM" -q -o fifo 2>err & PID=$!
sleep 1
kill -INT $PID
sleep 0.2
kill -INT $PID 2>/dev/null
wait $PID
echo $? >st)
is "a reader that stands still" "$(cat st)" 130
"$DECANT" core "$VICTIM" --limit-rate 4M --progress=5 5>lines & PID=$!
wait_text lines /
kill -KILL $PID
wait $PID 2>/dev/null
sleep 0.2
state_of "$VICTIM" >after
ok "the process is as before, after SIGKILL, too" diff before after
only "and nothing is left" after before directory err fifo first full lines listen ready st \
	victim.py
finish
