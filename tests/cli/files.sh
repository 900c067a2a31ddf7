#!/bin/bash
# SPDX-License-Identifier: MIT
# Files as ends: complete or absent, permissions, offsets, what is refused.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.bash"
head -c 3000001 /dev/urandom >src
chmod 640 src
umask 022

run decant copy src new
status 0 "a new file"
silent "  without a word"
ok "  is the same" cmp src new
is "  has the source's permissions under the umask" "$(stat -c %a new)" 640
chmod 777 src
run decant copy src masked
is "  those that the umask forbids are not given" "$(stat -c %a masked)" 755
run decant copy src kept --mode keep
is "--mode keep: whatever the umask" "$(stat -c %a kept)" 777
run decant copy src octal --mode 0604
is "--mode 0604" "$(stat -c %a octal)" 604
run decant copy zero:10 plain
is "a source that is no file: as any new file" "$(stat -c '%a %s' plain)" "644 10"
rm -f new masked kept octal plain

echo old >there
chmod 600 there
fails "there: the file exists" decant copy src there
says "--force" "  and names --force"
is "  it is as it was" "$(cat there)" old
run decant copy src there --force
status 0 "--force replaces it"
ok "  with the source" cmp src there
is "  permissions are those of the replaced file" "$(stat -c %a there)" 600
run decant copy src there --force --mode 640
is "  unless --mode says others" "$(stat -c %a there)" 640
ln there hard
run decant copy zero:5 there --force
ok "  other names keep the old file" cmp src hard
run decant copy zero:7 hard --in-place
is "--in-place empties what is there" "$(stat -c %s hard)" 7
ln hard harder
run decant copy src hard --in-place
ok "  and writes into it" cmp src harder
rm -f there hard harder

echo target >target
ln -s target link
fails "the file exists" decant copy src link
run decant copy src link --force
status 0 "--force through a link"
ok "  the link stays" test -L link
ok "  its target is replaced" cmp src target
ln -s nowhere dangling
fails "is a link to nothing" decant copy src dangling
fails "is a link to nothing" decant copy src dangling --force
rm -f link target dangling

mkdir dir
fails "is a directory" decant copy dir new
fails "is a directory" decant copy src dir
says "name the file in the directory" "  and says what to do"
fails "a name must follow" decant copy src new/
fails "No such file" decant copy absent new
fails "No such file" decant copy src absent/new
fails "Not a directory" decant copy src src/new
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
fails "is a socket" decant copy src sock
rm -rf dir sock
only "refusals leave nothing" src

fails "are the same file" decant copy src src --force
ln src same
fails "are the same file" decant copy src same --in-place
fails "overlap" decant copy src same --to-offset 10 --length 11
run decant copy src same --to-offset 3000001 --length 1000
status 0 "parts of one file that do not overlap"
ok "  are copied" cmp -n 1000 -i 0:3000001 src same
truncate -s 3000001 src
rm -f same

run decant copy src part --offset 1000 --length 5K
status 0 "--offset and --length"
is "  so much" "$(stat -c %s part)" 5120
ok "  from there" cmp -i 1000:0 -n 5120 src part
run decant copy src part --offset 10 --to-offset 100 --length 50
status 0 "--to-offset"
is "  the rest stays" "$(stat -c %s part)" 5120
ok "  it is written there" cmp -i 10:100 -n 50 src part
ok "  not before" cmp -i 1000:0 -n 100 src part
ok "  not after" cmp -i 1150:150 -n 4970 src part
run decant copy src sparse --to-offset 1M --length 1
is "--to-offset makes the file" "$(stat -c '%s %a' sparse)" "1048577 644"
run decant copy src empty --length 0
is "--length 0 moves nothing" "$STATUS $(stat -c %s empty)" "0 0"
run decant copy src tail --offset 3000001
is "--offset at the end: nothing is left" "$STATUS $(stat -c %s tail)" "0 0"
fails "short" decant copy src more --length 4M
says "3000001 of 4194304 bytes arrived; the source stands at offset 3000001" "  with the offset"
says "hint: " "  and what to do"
ok "  no file was made" test ! -e more
run decant copy src more --length 4M --partial
status 1 "--partial"
says "kept as more.partial" "  says what it kept"
ok "  which is what arrived" cmp src more.partial
ok "  the name itself is not there" test ! -e more
rm -f part sparse empty tail more.partial

truncate -s 8M holes
printf x | dd of=holes bs=1 seek=4000000 conv=notrunc status=none
run decant copy holes out
ok "a file with holes" cmp holes out
ok "  has holes" test "$(stat -c %b out)" -le "$(($(stat -c %b holes) + 64))"
head -c 8M /dev/urandom >out
run decant copy holes out --in-place
ok "  over old data they read as zeros" cmp holes out
head -c 8M /dev/urandom >out
run decant copy holes out --to-offset 0
ok "  at an offset, too" cmp holes out
rm -f holes out

run decant copy src new --sync --json
status 0 "--sync"
is "  delivered means durable" "$(json "$OUT" 'o["delivered"]["means"]')" durable
run decant copy src direct --direct --json
status 0 "--direct"
is "  by a route past the cache" "$(json "$OUT" 'o["route"]')" direct
ok "  the odd end included" cmp src direct
run decant copy src workers --workers 1
ok "--workers 1" cmp src workers
for backend in auto uring threads; do
	run decant copy src "by-$backend" --backend "$backend"
	status 0 "--backend $backend"
	ok "  the same bytes" cmp src "by-$backend"
done
run decant copy src masked --mask io_uring,splice,copy_file_range,o_direct
ok "--mask: by what is left" cmp src masked

# Odd names, and words that look like something else.
run decant copy src file:fd:3
ok "file: for odd names" cmp src fd:3
run decant copy ./fd:3 ./-
ok "./ for odd names" cmp src ./-
run decant copy -- ./- --live
ok "-- ends the options" cmp src ./--live
run decant copy "file:--live" "blank and
newline" --checksum=sha256
ok "a checksum line with an odd name can be checked" sha256sum --status -c "$OUT"
long=$(printf 'n%.0s' {1..255})
run decant copy src "$long"
ok "the longest name" cmp src "$long"
finish
