#!/bin/bash
# SPDX-License-Identifier: MIT
# make demo: what decant is for, in a minute.
#	tools/demo.sh [MIB]
# A file of MIB (1024), and cores of half that, are made in $TMPDIR (/var/tmp)
# and removed again.
set -euo pipefail
cd "$(dirname "$0")/.."

mib=${1:-1024}
[ -x build/decant ] || echo "building (about a minute)"
log=$(make -s all 2>&1) || { echo "$log"; exit 1; }
decant=$PWD/build/decant
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/decant-demo-XXXXXX")
receiver=
port=0

cleanup()
{
	[ -z "$receiver" ] || kill -CONT "$receiver" 2>/dev/null || true
	[ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT

bold='' plain=''
if [ -t 1 ]; then
	bold=$'\e[1m' plain=$'\e[0m'
fi

say()
{
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

show()
{
	say "\$ decant $*"
	"$decant" "$@"
}

fail()
{
	echo "demo: $*" >&2
	exit 1
}

# A receiver on a free port of loopback, in the background; what it says is in
# $dir/received.  Arguments: more options for it.
receive()
{
	local hex try
	for try in 1 2 3 4 5; do
		port=$((20000 + (RANDOM + try) % 20000))
		"$decant" copy "tcp-listen:127.0.0.1:$port" null: "$@" >"$dir/received" 2>&1 &
		receiver=$!
		hex=$(printf '0100007F:%04X 00000000:0000 0A' "$port")
		for ((i = 0; i < 100; i++)); do
			! grep -q "$hex" /proc/net/tcp || return 0
			kill -0 "$receiver" 2>/dev/null || break
			sleep 0.05
		done
		wait "$receiver" || true
	done
	cat "$dir/received"
	fail "no receiver"
}

received()
{
	wait "$receiver" || { cat "$dir/received"; fail "the receiver failed"; }
	receiver=
}

checksum()
{
	grep -o '[0-9a-f]\{16\}' "$1" | head -n 1
}

# Send the file, and overwrite its end as soon as the event has come.
# Arguments: event, options for the sender.
send_and_overwrite()
{
	local event=$1 line done_at=
	shift
	mkfifo "$dir/events"
	receive --checksum --limit-rate "$((mib / 4))M"
	"$decant" copy -q --events 3 "$@" "$dir/file" "tcp:127.0.0.1:$port" 3>"$dir/events" &
	local sender=$!
	while read -r line; do
		[[ $line == *'"progress"'* ]] || printf '  %s\n' "$line"
		if [ -z "$done_at" ] && [[ $line == *"\"$event\""* ]]; then
			# It stands still meanwhile, so that what is under way is there.
			kill -STOP "$receiver"
			dd if=/dev/zero of="$dir/file" bs=1M count=16 seek=$((mib - 16)) \
				conv=notrunc status=none
			kill -CONT "$receiver"
			echo "  -- the last 16 MiB of the file are zeros now --"
			done_at=$line
		fi
	done <"$dir/events"
	wait "$sender" || fail "the sender failed"
	rm "$dir/events"
	[ -n "$done_at" ] || fail "no event $event"
	received
}

file_checksum()
{
	"$decant" copy -q --checksum "$dir/file" null: >"$dir/checksum"
	checksum "$dir/checksum"
}

make_file()
{
	"$decant" copy -q --force "mem:${mib}M" "$dir/file"
}

# One sender to one receiver: a line "name seconds CPU-seconds".
measure()
{
	receive
	TIMEFORMAT="$1 %R %U %S"
	{ time "send_$1" >/dev/null 2>&1; } 2>&1
	received
}

# The best of several rounds, for all senders in turns.
compare()
{
	local sender
	for sender in "$@" "$@" "$@"; do
		measure "$sender"
	done >"$dir/times"
	awk -v mib="$mib" '
		!($1 in wall) { order[++n] = $1 }
		!($1 in wall) || $2 < wall[$1] { wall[$1] = $2 }
		!($1 in cpu) || $3 + $4 < cpu[$1] { cpu[$1] = $3 + $4 }
		END {
			for (i = 1; i <= n; i++)
				printf "  %-7s %5.2f GiB/s  %5.2f s of CPU per GiB\n", order[i],
					mib / 1024 / wall[order[i]], cpu[order[i]] * 1024 / mib
		}' "$dir/times"
}

send_decant()
{
	"$decant" copy -q "$dir/file" "tcp:127.0.0.1:$port"
}

send_cat()
{
	# The shell connects; cat reads and writes.
	cat "$dir/file" >"/dev/tcp/127.0.0.1/$port"
}

send_socat()
{
	socat -u "OPEN:$dir/file" "TCP:127.0.0.1:$port"
}

show probe
make_file
show explain "$dir/file" tcp:127.0.0.1:9

say "1. After SNAPSHOTTED the file may change, though the receiver is behind."
before=$(file_checksum)
send_and_overwrite snapshotted
after=$(checksum "$dir/received")
echo "  the file was      $before"
echo "  the receiver has  $after"
[ "$before" = "$after" ] || fail "the receiver has new bytes"
echo "  the same: not one new byte arrived"

say "2. Without that promise: sendfile(2) hands out the live page (--live)."
make_file
send_and_overwrite snapshotted --live --route sendfile --until sent
after=$(checksum "$dir/received")
echo "  the file was      $before"
echo "  the receiver has  $after"
if [ "$before" = "$after" ]; then
	echo "  the same, this time: the receiver had all before we could write"
else
	echo "  different: bytes that were written afterwards arrived"
fi

say "3. What it costs: $mib MiB from the page cache to a TCP receiver on this machine."
make_file
senders=(decant cat)
command -v socat >/dev/null && senders+=(socat)
compare "${senders[@]}"
rm -f "$dir/file"

say "4. A core of a Redis server that goes on serving, and what its clients notice."
tools/demo-core.sh "$decant" "$dir" "$((mib / 2))"

say "5. A download by HTTP, of a file that is overwritten meanwhile."
tools/demo-serve.sh "$decant"
