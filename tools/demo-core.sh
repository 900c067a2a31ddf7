#!/bin/bash
# SPDX-License-Identifier: MIT
# The part of make demo that takes cores of a redis-server under load.
#	tools/demo-core.sh DECANT DIR [MIB]
# The server has about MIB (512) of data and a Unix socket in DIR, nothing else.
set -euo pipefail

decant=$1
dir=$2
mib=${3:-512}
socket=$dir/redis.sock
server='' load='' client=''

cleanup()
{
	local pid
	for pid in $load $client $server; do
		kill "$pid" 2>/dev/null || true
	done
	wait
	rm -f "$dir"/redis.* "$dir"/core.*
}
trap cleanup EXIT

fail()
{
	echo "demo: $*" >&2
	exit 1
}

for program in redis-server redis-cli redis-benchmark gdb gcore python3; do
	command -v "$program" >/dev/null || fail "there is no $program here"
done

# A client like any other: asks, waits for the answer, and remembers the longest wait.
cat >"$dir/redis.client" <<'END'
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
longest = 0
while not os.path.exists(sys.argv[2]):
    start = time.monotonic_ns()
    s.sendall(b"PING\r\n")
    s.recv(100)
    longest = max(longest, time.monotonic_ns() - start)
    time.sleep(0.0001)
print(f"{longest / 1e6:.1f}")
END

# What a client waited at most while the rest was run; in $longest.
watch()
{
	rm -f "$dir/redis.stop"
	python3 "$dir/redis.client" "$socket" "$dir/redis.stop" >"$dir/redis.longest" &
	client=$!
	sleep 0.3
	"$@"
	touch "$dir/redis.stop"
	wait "$client"
	client=
	longest=$(cat "$dir/redis.longest")
}

take_with_decant()
{
	"$decant" core "$server" --max-pause 20ms -o "$dir/core.decant" 2>&1 |
		sed "s,$dir/,,; s/^/  decant: /"
}

take_with_gcore()
{
	local start=$EPOCHREALTIME
	gcore -o "$dir/core.gcore" "$server" >"$dir/redis.gcore" 2>&1 || cat "$dir/redis.gcore"
	awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "  gcore: in %.2f s\n", b - a }'
}

redis-server --port 0 --unixsocket "$socket" --save '' --appendonly no --dir "$dir" \
	--enable-debug-command yes >"$dir/redis.log" 2>&1 &
server=$!
for ((i = 0; i < 100; i++)); do
	redis-cli -s "$socket" ping >/dev/null 2>&1 && break
	kill -0 "$server" 2>/dev/null || { cat "$dir/redis.log"; fail "no server"; }
	sleep 0.05
done
redis-cli -s "$socket" debug populate "$((mib * 850))" key 1024 >/dev/null
redis-benchmark -s "$socket" -c 2 -r 100000 -n 1000000000 -t set,get -q >/dev/null 2>&1 &
load=$!
sleep 0.5
echo "  redis-server: $(redis-cli -s "$socket" info memory |
	sed -n 's/^used_memory_human:\([0-9.KMG]*\).*/\1/p'), under load by redis-benchmark"

watch sleep 3
quiet=$longest
watch take_with_decant
ours=$longest
watch take_with_gcore
theirs=$longest
kill "$load"
redis-cli -s "$socket" ping >/dev/null || fail "the server is gone"

printf '  %-38s %8s ms\n' "a client's longest wait, undisturbed:" "$quiet" \
	"  while decant took a core:" "$ours" "  while gcore took a core:" "$theirs"
echo "  what gdb finds in decant's core:"
gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'info threads' \
	"$(readlink -f "/proc/$server/exe")" "$dir/core.decant" 2>/dev/null |
	sed -n 's/^\(. [0-9].*\)/  \1/p' | cut -c 1-100 >"$dir/redis.threads"
cat "$dir/redis.threads"
[ -s "$dir/redis.threads" ] || fail "gdb finds no thread"
