#!/bin/bash
# SPDX-License-Identifier: MIT
# Standard input and output, descriptors, FIFOs and devices as ends.
# shellcheck disable=SC1091,SC2016,SC2094
. "$(dirname "$0")/lib.bash"
head -c 2000003 /dev/urandom >src

# The position of a file that is handed to us is honoured and moved on.
(decant copy - a --length 10; cat) <src >rest
ok "- reads from the position" cmp -n 10 src a
ok "  and leaves the rest to others" cmp -i 10:0 src rest
(head -c 0; dd bs=1 count=100 of=/dev/null status=none; decant copy - b --length 10) <src
ok "  wherever it was" cmp -i 100:0 -n 10 src b
(decant copy - c) <src
ok "  to the end" cmp src c
(decant copy - d --offset 50 --length 10; cat) <src >rest
ok "--offset counts from the file's beginning" cmp -i 50:0 -n 10 src d
ok "  and leaves the position alone" cmp src rest
(printf head; decant copy src - --length 10; printf tail) >out
is "- writes at the position and moves it on" "$(head -c 4 out)$(tail -c 4 out)$(stat -c %s out)" \
	headtail18
printf first >out
decant copy src - --length 10 >>out
is ">> appends" "$(head -c 5 out)$(stat -c %s out)" first15
cp src out
(decant copy src - --offset 100 --length 10 --to-offset 5) 1<>out
ok "--to-offset on -" cmp -i 100:5 -n 10 src out
ok "  changes nothing else" cmp -i 15:15 src out

decant copy src - | cmp - src
is "to a pipe" "${PIPESTATUS[*]}" "0 0"
decant copy - from-pipe < <(cat src)
ok "from a pipe" cmp src from-pipe
(cat src; sleep 0.2; cat src) | decant copy - twice
ok "from a slow pipe" cmp <(cat src src) twice
decant copy src - | (sleep 0.3; cat) | cmp - src
is "to a slow pipe" "${PIPESTATUS[*]}" "0 0 0"
(head -c 7; cat >rest) < <(cat src) >/dev/null
decant copy - some --length 12345 < <(cat src)
ok "--length of a pipe" cmp -n 12345 src some
fails "short" decant copy - more --length 4M < <(cat src)
ok "  no file was made" test ! -e more
fails "has no offsets" decant copy - more --offset 5 < <(cat src)
(decant copy src - --to-offset 5; echo $? >st) 2>err | cat
ok "--to-offset of a pipe is refused" grep -q "has no offsets" err

for size in 0 1 4096 65536 1000000; do
	decant copy "mem:$((size + 1))" - --length "$size" |
		decant copy - "mem:$((size + 1))" --verify
	is "$size bytes of pattern through a pipe" "${PIPESTATUS[*]}" "0 0"
done
printf 'wrong' >wrong
fails "byte 0 is not the pattern's" decant copy wrong mem:5 --verify
decant copy mem:64K pattern
printf X | dd of=pattern bs=1 seek=4097 conv=notrunc status=none
fails "byte 4097 is not the pattern's" decant copy pattern mem:64K --verify
run decant copy pattern mem:64K --verify --offset 5000
status 0 "--verify counts from --offset"
run decant copy mem:64K mem:64K --verify --offset 100
status 0 "  of memory, too"
run decant copy src mem:1M
status 1 "a mem: sink that is too small is an error"
run decant copy src mem:1M --length 1M
status 0 "  and with --length it is none"
run decant copy mem:10 null: --length 11
status 1 "more than mem: has"

exec 7<src 8>by-fd 9<>both
run decant copy fd:7 fd:8
ok "fd:N" cmp src by-fd
fails "is not open for writing" decant copy src fd:7
fails "is not open for reading" decant copy fd:8 x
run decant copy src fd:9
ok "fd:N for both" cmp src both
exec 7<&- 8>&- 9>&-
fails "is not open for writing" bash -c '"$0" copy src - >&-' "$DECANT"
fails "is not open for reading" bash -c '"$0" copy - x <&-' "$DECANT"
run bash -c '"$0" copy src closed <&- 2>&-' "$DECANT"
ok "closed standard descriptors are not mistaken for files" cmp src closed
run bash -c 'exec <&- >&- 2>&-; "$0" copy src closed2 --checksum' "$DECANT"
ok "  nor is the checksum written into the sink" cmp src closed2
fails "standard output" bash -c '"$0" probe >/dev/full' "$DECANT"

# A reader that leaves.
(decant copy src - 2>err; echo $? >st) | head -c 1 >/dev/null
is "a reader that leaves: not success" "$(cat st)" 1
ok "  and says how far it came" grep -q "of 2000003 bytes arrived" err
ok "  and what it means" grep -q "hint: the reader went away" err

# FIFOs: both sides are waited for, with a limit.
mkfifo fifo
fails "nobody reads the FIFO in time" decant copy src fifo --timeout 300ms
says "--timeout" "  and names --timeout"
fails "nobody writes to the FIFO in time" decant copy fifo new --timeout 300ms
ok "  no file was made" test ! -e new
decant copy src fifo & pid=$!
sleep 0.2
decant copy fifo by-fifo
status=$?
wait $pid
is "a FIFO between two of us, sink first" "$? $status" "0 0"
ok "  the same bytes" cmp src by-fifo
decant copy fifo by-fifo2 & pid=$!
sleep 0.2
decant copy src fifo
wait $pid
ok "source first" cmp src by-fifo2
sleep 5 >fifo & writer=$!
fails "nobody writes to the FIFO in time" decant copy fifo new --timeout 300ms
kill $writer
wait $writer 2>/dev/null
(exec 3<>fifo; decant copy src fifo --timeout 300ms 2>err; echo $? >st)
is "a FIFO whose reader stands still" "$(cat st)" 1
ok "  says how far it came" grep -q "of 2000003 bytes arrived" err
ok "  and what it waited for" grep -qi "300" err

# Devices.
run decant copy src /dev/null
status 0 "/dev/null"
run decant copy /dev/zero zeros --length 100000
ok "/dev/zero with --length" cmp -n 100000 zeros /dev/zero
fails "No space left" decant copy src /dev/full
says "hint: make room" "  and says what to do"
run decant copy src /dev/stdout
ok "/dev/stdout that is a file exists" grep -q "the file exists" "$ERR"
decant copy src /dev/stdout | cmp - src
is "/dev/stdout that is a pipe" "${PIPESTATUS[*]}" "0 0"
decant copy src >(cat >substituted)
for ((i = 0; i < 100; i++)); do cmp -s src substituted && break; sleep 0.05; done
ok "process substitution" cmp src substituted

# Both sides at once.
decant copy - - <src | cmp - src
is "- to -" "${PIPESTATUS[*]}" "0 0"
(decant copy zero:100 -; decant copy zero:100 -) >two
is "twice into one file" "$(stat -c %s two)" 200
finish
