# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Points in TAP for scripts that run the program, each in a directory of its own.
# Not a framework: a script sources this, makes points, and ends with `finish`.
#
#	run CMD...            run it; $STATUS, and its output in $OUT and $ERR
#	ok NAME CMD...        a point: CMD succeeds
#	is NAME GOT WANT      a point: two words are the same
#	status WANT NAME      a point: $STATUS
#	says TEXT NAME        a point: $ERR holds TEXT
#	prints TEXT NAME      a point: $OUT holds TEXT

set -u
export LC_ALL=C
unset DECANT_MASK
: "${DECANT:?the program to be tested}"
SLOW=${TAP_SLOW:-1}
LIMIT=$((30 * SLOW))

POINTS=0
FAILED=0
TMP=$(mktemp -d "${TMPDIR:-/tmp}/decant-cli.XXXXXX")
OUT=$TMP/.out
ERR=$TMP/.err
STATUS=
# Costs of this machine's user must not choose the routes of the tests.
export XDG_CACHE_HOME=$TMP/.cache
cd "$TMP" || exit 1

clean_up() {
	local pid
	for pid in $(jobs -p); do
		kill -KILL "$pid"
	done 2>/dev/null
	wait
	cd / && rm -rf "$TMP"
}
trap clean_up EXIT

# The program under test, never for ever.
decant() {
	timeout -k 5 "$LIMIT" "$DECANT" "$@"
}

run() {
	"$@" >"$OUT" 2>"$ERR"
	STATUS=$?
}

point() { # good|bad NAME
	local name=${2//$'\n'/ }
	POINTS=$((POINTS + 1))
	if [ "$1" = good ]; then
		echo "ok $POINTS - ${name//#/}"
	else
		FAILED=$((FAILED + 1))
		echo "not ok $POINTS - ${name//#/}"
	fi
}

# What the last run said, for whoever reads the log.
tell() {
	echo "# status: $STATUS"
	head -c 2000 "$OUT" 2>/dev/null | tr -d '\000' | sed 's/^/# out: /' | head -20
	head -c 2000 "$ERR" 2>/dev/null | tr -d '\000' | sed 's/^/# err: /' | head -20
}

ok() {
	local name=$1
	shift
	if "$@" >"$TMP/.ok" 2>&1; then
		point good "$name"
	else
		point bad "$name"
		echo "# failed: $*"
		head -c 2000 "$TMP/.ok" | tr -d '\000' | sed 's/^/# /'
		tell
	fi
}

is() {
	if [ "$2" = "$3" ]; then
		point good "$1"
	else
		point bad "$1"
		echo "# got '${2//$'\n'/ }', wanted '${3//$'\n'/ }'"
		tell
	fi
}

status() {
	is "$2" "$STATUS" "$1"
}

says() {
	ok "$2" grep -qF -e "$1" "$ERR"
}

prints() {
	ok "$2" grep -qF -e "$1" "$OUT"
}

silent() { # NAME: nothing was printed
	ok "$1" test ! -s "$OUT" -a ! -s "$ERR"
}

# The command line is wrong: status 2, the sentence, and where help is.
usage() { # TEXT ARG...
	local text=$1
	shift
	run decant "$@"
	status 2 "usage: $*"
	says "$text" "  says: $text"
	says "decant help" "  says where help is"
}

# It fails: status 1 and one sentence.
fails() { # TEXT CMD...
	local text=$1
	shift
	run "$@"
	status 1 "fails: $*"
	says "decant: " "  says who"
	says "$text" "  says: $text"
}

# Wait until FILE holds TEXT, ten seconds at most.
wait_text() { # FILE TEXT
	local i
	for ((i = 0; i < 200 * SLOW; i++)); do
		grep -qF -e "$2" "$1" 2>/dev/null && return 0
		sleep 0.05
	done
	return 1
}

# The port that a listener chose, out of its stderr.
port_of() { # FILE
	wait_text "$1" "listening on" || return 1
	sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' "$1" | head -1
}

# A value of the JSON object in FILE: json FILE 'o["a"]["b"]'
json() {
	python3 -c 'import json, sys
o = json.loads(open(sys.argv[1]).read())
print(eval(sys.argv[2]))' "$1" "$2"
}

# The same for FILE of many lines, as a list.
json_lines() {
	python3 -c 'import json, sys
o = [json.loads(line) for line in open(sys.argv[1])]
print(eval(sys.argv[2]))' "$1" "$2"
}

need_root() {
	if [ "$(id -u)" != 0 ]; then
		echo "1..0 # SKIP needs root"
		exit 0
	fi
}

# Nothing was left in the directory but these names.
only() { # NAME FILE...
	local name=$1
	shift
	is "$name" "$(find . -mindepth 1 -maxdepth 1 ! -name '.out' ! -name '.err' ! -name '.ok' \
		! -name '.cache' -printf '%f\n' | sort | tr '\n' ' ')" \
		"$(printf "${1:+%s\\n}" "$@" | sort | tr '\n' ' ')"
}

finish() {
	echo "1..$POINTS"
	[ "$FAILED" = 0 ]
	exit
}
