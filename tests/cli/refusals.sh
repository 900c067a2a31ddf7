#!/bin/bash
# SPDX-License-Identifier: MIT
# Command lines that are refused before anything is touched: status 2.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.bash"
echo data >a

for command in copy explain; do
	usage "FROM and TO are missing" "$command"
	usage "TO is missing" "$command" a
	usage "one word too many" "$command" a b c
	usage "--checksum=KIND" "$command" --checksum sha256 a b
	usage "--progress=2" "$command" a b -p=2
	usage "tcp:10.0.0.1:9000" "$command" a 10.0.0.1:9000
	usage "tcp-listen::9000" "$command" a tcp-listen:9000
	usage "no such option" "$command" a b --nonsense
	usage "-z: no such option" "$command" a b -z
	usage "SIZE is missing" "$command" a b --length
	usage "is not a size" "$command" a b --length many
	usage "takes no argument" "$command" a b --live=1
	usage "no route is called" "$command" a b --route teleport
	usage "no kind of end is called" "$command" a tpc:host:1
	usage "./tpc:host:1" "$command" a tpc:host:1
	usage "only be a sink" "$command" null: b
	usage "only be a source" "$command" a zero:
	usage "never ends" "$command" zero: b
	usage "gives less" "$command" zero:1K b --length 1M
	usage "has less" "$command" mem:1K b --offset 1M
	usage "has no offsets" "$command" tcp:localhost:1 b --offset 1
	usage "has no offsets" "$command" a tcp:localhost:1 --to-offset 1
	usage "brackets" "$command" a tcp:::1:80
	usage "port" "$command" a tcp:localhost:x
	usage "is none of" "$command" a b --checksum=md5
	usage "is none of" "$command" a b --until later
	usage "is none of" "$command" a b --backend kqueue
	usage "neither keep nor octal" "$command" a b --mode rwx
	usage "more than 0" "$command" a b --limit-rate 0
	usage "more than 0" "$command" a b --timeout 0
	usage "from 1" "$command" a b --workers 0
	usage "only for mem:" "$command" a b --verify
	usage "only for a file" "$command" a null: --force
	usage "only for a file" "$command" a null: --in-place
	usage "only for a file" "$command" a null: --partial
	usage "only for a file" "$command" a null: --mode keep
	usage "stays anyway" "$command" a b --partial --in-place
	usage "say one of them" "$command" a b -q -v
	usage "is the sink" "$command" a - --events 1
	usage "is the sink" "$command" a - --progress=1
	usage "source and sink" "$command" fd:0 fd:0
	usage "is not open" "$command" fd:77 b
	usage "is not open" "$command" a fd:77
done
usage "descriptor 77 is not open" copy a b --events 77
usage "descriptor 77 is not open" copy a b --progress=77
usage "from 1 to 64" copy a b --workers 65
usage "from 1 to 256" serve --workers 257
usage "did you mean --length?" copy a b --lengthh 5
usage "did you mean copy?" kopy a b
usage "did you mean --version?" --versoin
usage "needs a unit: 5ms, or 5s" core 1 --max-pause 5
usage "needs a unit" dirty 1 --max-pause 0.5
usage "come after --" run --policy=audit ls -l
usage "no port" serve --listen 127.0.0.1
for command in "copy a b" "explain a b" "core 1" "dirty 1" "page-server -D new" probe serve; do
	# shellcheck disable=SC2086
	run decant $command --mask no_such_fact
	status 2 "$command: --mask takes facts only"
	says "is not a fact" "  says so"
	says "decant probe" "  and where they are"
done
usage "one word too many" probe word
usage "only with --calibrate" probe --seconds 3
usage "only with --calibrate" probe --dir .
usage "600 at most" probe --calibrate --seconds 601
only "nothing was made" a

fails "ends at 5, before --offset 6" decant copy a b --offset 6
fails "ends at 5, before --offset 6" decant explain a b --offset 6
run decant copy a /dev/null --offset 5
status 0 "an offset at the end is none beyond it"
fails "x\\ny\\x1b: No such file" decant copy $'x\ny\e' b
fails "no address" decant copy a tcp:name.invalid:1
says "getent" "  and how to look"
fails "io_uring" decant copy a b --backend uring --mask io_uring
fails "route" decant copy a b --route vmsplice
says "decant explain" "  and names explain"
only "nothing was made by those either" a
fails "Cannot assign" decant page-server -D new --insecure --listen 192.0.2.1:0
says "not one of this host's" "  and why"
mkdir -p around/1 around/2
touch around/1/inventory.img around/2/inventory.img
fails "around: holds numbered images, 1 to 2" decant images around
says "the last one is around/2" "  and which is meant"
finish
