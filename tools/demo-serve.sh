#!/bin/bash
# SPDX-License-Identifier: MIT
# What make demo shows of `decant serve`: a file that is overwritten in place while
# curl, whose reader takes his time, downloads it; and the same from a live route.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v curl >/dev/null || { echo "demo: curl is not installed: no download"; exit 0; }
decant=${1:-$PWD/build/decant}
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/decant-demo-XXXXXX")
sender=

cleanup()
{
	[ -z "$sender" ] || kill "$sender" 2>/dev/null || true
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

# Until a file has text; 10 s at most.
wait_for()
{
	local i
	for ((i = 0; i < 200; i++)); do
		! grep -q "$2" "$1" 2>/dev/null || return 0
		sleep 0.05
	done
	cat "$1"
	echo "demo: no $2" >&2
	exit 1
}

sum()
{
	sha256sum <"$1" | cut -c 1-16
}

make_file()
{
	head -c 262144 /dev/urandom >"$dir/www/file"
	before=$(sum "$dir/www/file")
}

overwrite()
{
	head -c 262144 /dev/zero >"$dir/zeros"
	dd if="$dir/zeros" of="$dir/www/file" bs=256k conv=notrunc status=none
}

# In the background, into $dir/got, but only from when $dir/go is there.
download()
{
	rm -f "$dir/go" "$dir/got"
	curl -s "$1" | {
		until [ -e "$dir/go" ]; do sleep 0.05; done
		cat >"$dir/got"
	} &
	client=$!
}

told()
{
	echo "  the file was  $before"
	echo "  curl has      $(sum "$dir/got")"
}

mkdir "$dir/www"
make_file
say "\$ decant serve www & curl http://.../file | slowly"
"$decant" serve --listen 127.0.0.1:0 --log "$dir/log" "$dir/www" 2>"$dir/said" &
sender=$!
wait_for "$dir/said" 'at http'
url=$(grep -o 'http://[0-9.:]*/' "$dir/said")
download "${url}file"
wait_for "$dir/log" 'GET /file'
overwrite
echo "  -- the answer is sent, nobody has read it, and the file is zeros now --"
: >"$dir/go"
wait "$client"
told
kill "$sender"
wait "$sender" || true
sender=
[ "$before" = "$(sum "$dir/got")" ] || { echo "demo: curl has new bytes" >&2; exit 1; }
echo "  the same: not one new byte arrived"

say "The same download from a live route: sendfile, as most servers do it."
make_file
: >"$dir/said"
python3 - "$decant" "$dir" <<'PYTHON' &
import os, socket, subprocess, sys
decant, directory = sys.argv[1:]
with socket.create_server(("127.0.0.1", 0)) as listening:
    with open(directory + "/said", "w") as said:
        said.write("http://127.0.0.1:%d/\n" % listening.getsockname()[1])
    client = listening.accept()[0]
client.recv(65536)
client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 262144\r\nConnection: close\r\n\r\n")
client.setblocking(False)
subprocess.run([decant, "copy", "-q", "--live", "--route", "sendfile", "--until", "sent",
                directory + "/www/file", "fd:%d" % client.fileno()],
               pass_fds=[client.fileno()], check=True)
with open(directory + "/said", "a") as said:
    said.write("sent\n")
client.setblocking(True)
client.shutdown(socket.SHUT_WR)
client.recv(1)
PYTHON
sender=$!
wait_for "$dir/said" 'http'
download "$(head -n 1 "$dir/said")"
wait_for "$dir/said" 'sent'
overwrite
: >"$dir/go"
wait "$client"
told
wait "$sender"
sender=
if [ "$before" = "$(sum "$dir/got")" ]; then
	echo "  the same, this time: curl had all before we could write"
else
	echo "  different: bytes that were written afterwards arrived"
fi
