#!/bin/bash
# SPDX-License-Identifier: MIT
# The examples do what their first comments say.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.bash"
SOURCE=${DECANT_SOURCE:?}
EXAMPLES=${DECANT_BUILD:?}/examples
head -c 3000001 /dev/urandom >src
SUM=$(sha256sum <src | cut -d' ' -f1)

example() { # NAME ARG...
	local name=$1
	shift
	timeout -k 5 "$LIMIT" "$EXAMPLES/example-$name" "$@"
}

is "every example is tried here" \
	"$(sed -n 's/^example_tested \([a-z-]*\).*/\1/p' "$0" | sort | tr '\n' ' ')" \
	"$(cd "$SOURCE/examples" && printf '%s\n' *.c | sed 's/\.c$//' | sort | tr '\n' ' ')"
example_tested() {
	ok "example-$1 is there" test -x "$EXAMPLES/example-$1"
}

example_tested copy-file
run example copy-file src copy
status 0 "copy-file"
ok "  the same bytes" cmp src copy
is "  and their checksum" "$(cat "$OUT")" "$SUM  copy"
run example copy-file src copy
status 1 "  a file that exists is an error"
run example copy-file src /dev/full
status 1 "  so is one that takes nothing"
run example copy-file
status 2 "  usage"

example_tested core
if [ "$(id -u)" = 0 ]; then
	sleep 1000 & PID=$!
	run example core $PID a-core
	status 0 "core"
	prints "it stood still for" "  says for how long"
	ok "  it is a core" bash -c "readelf -h a-core | grep -q 'CORE (Core file)'"
	run example core $PID a-core
	status 1 "  a file that exists is an error"
	kill $PID
	run example core $PID another
	status 1 "  so is a process that is gone"
	ok "  which leaves no file" test ! -e another
fi

example_tested dirty
if [ "$(id -u)" = 0 ]; then
	sleep 1000 & PID=$!
	run example dirty $PID
	status 0 "dirty"
	prints "0 pages" "  sleep writes nothing"
	prints "precopy would stop it for" "  says what a capture would take"
	kill $PID
	run example dirty $PID
	status 1 "  a process that is gone"
	run example dirty
	status 2 "  usage"
fi

example_tested send-file
decant copy tcp-listen::0 got 2>listen & PID=$!
run example send-file src 127.0.0.1 "$(port_of listen)"
status 0 "send-file"
wait $PID
ok "  the same bytes" cmp src got
prints "3000001 bytes are safe: the file may change" "  says when the file may change"
prints "3000001 bytes were acknowledged" "  and when it was acknowledged"
is "  in this order" "$(grep -n . "$OUT" | sed -n 's/:.*\(safe\|acknowledged\|done\).*/ \1/p' |
	tr '\n' ' ')" "1 safe 2 acknowledged 3 done "
run example send-file src 127.0.0.1 1
status 1 "  nobody listens: an error"
run example send-file absent 127.0.0.1 1
status 1 "  no file: an error"

example_tested poll-loop
for ((i = 0; i < 50; i++)); do echo src; done >names
run example poll-loop <names
status 0 "poll-loop"
is "  every file, whole" "$(sort "$OUT" | uniq -c | tr -s ' ')" " 50 3000001 bytes"
run example poll-loop < <(printf 'absent\nsrc\n')
status 0 "  one that is not there"
says "absent: No such file" "  is said"
prints "3000001 bytes" "  and the others are read"
finish
