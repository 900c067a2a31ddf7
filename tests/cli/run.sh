#!/bin/bash
# SPDX-License-Identifier: MIT
# decant run as a command: what it passes on, what it says, and what it refuses.
# shellcheck disable=SC1091,SC2012,SC2016,SC2153
. "$(dirname "$0")/lib.bash"
VICTIM=${DECANT_BUILD:?}/tests/victims/victim-semantics

# The signals blocked, ignored and caught, by a status file. Without 32 and 33, which glibc keeps
# to itself: whoever starts this script may ignore them, and a program with threads cannot.
# (Both sides of a comparison come from under timeout, or neither: it changes what is ignored.)
signals() {
	local name set
	grep -hE '^Sig(Blk|Ign|Cgt)' "$@" | while read -r name set; do
		printf '%s %x\n' "$name" $((16#$set & ~0x180000000))
	done
}

# ------------------------------------------------------------- the command line
usage "--policy: must be given" run -- true
usage "no program" run --policy=legacy
usage "no program" run --policy=legacy --
usage "no such option" run --policy=legacy --pour -- true
usage "none of auto, trace, notify, preload" run --policy=legacy --mechanism=magic -- true
usage "--json: only with" run --policy=legacy --json -- true
usage "--report: is empty" run --policy=legacy --report= -- true
run decant run --policy=copy -- touch it-ran
status 2 "an unknown policy"
says "'copy' is none of legacy" "  says which there are"
run decant run --policy=legacy,warn -- touch it-ran
status 2 "two policies"
says "only one of those" "  says why"
only "nothing was run"

# --------------------------------------------------------------- the end, exactly
for policy in legacy deny copy-v2 audit; do
	for code in 0 42 255; do
		run decant run --policy=$policy --report=r.txt -- sh -c "exit $code"
		status $code "$policy: exit status $code"
	done
	for signal in TERM KILL SEGV PIPE; do
		wanted=$((128 + $(kill -l $signal)))
		run bash -c '"$DECANT" run --policy="$1" --report=r.txt -- \
			sh -c "kill -$2 \$\$"; exit $?' - $policy $signal 2>/dev/null
		is "$policy: dies of SIG$signal" "$STATUS" "$wanted"
	done
done
ok "no core of ours is left" test -z "$(find . -name 'core*')"
run decant run --policy=copy-v2 -- nosuch-program
status 127 "not found: 127"
says "nosuch-program: No such file" "  says what"
echo 'echo a script without a first line' >script
run decant run --policy=copy-v2 -- ./script
status 126 "not executable: 126"
chmod +x script
run decant run --policy=copy-v2 -- ./script
status 0 "a script without #!"
prints "a script without a first line" "  is run by the shell, as ever"
printf '\177ELFnonsense' >broken
chmod +x broken
run decant run --policy=copy-v2 -- ./broken
ok "a broken program fails" test "$STATUS" != 0
run decant run --policy=audit --report=none/r.txt -- touch it-ran
status 125 "a report that cannot be written: 125"
ok "  before anything is run" test ! -e it-ran
run decant run --policy=audit --report=/dev/full -- true
status 125 "a full disk"

# ------------------------------------------------------------------ what it inherits
run decant run --policy=copy-v2 -- sh -c 'cat; pwd; echo $0 $VAR; echo err >&2' <<<"input"
prints "input" "standard input"
prints "$PWD" "the directory"
says "err" "standard error"
VAR=value run decant run --policy=copy-v2 -- sh -c 'echo $VAR "$1"' - 'a  b'
prints "value a  b" "the environment, and arguments as they are"
for policy in legacy copy-v2 deny; do
	run ls /proc/self/fd
	wanted=$(wc -l <"$OUT")
	run decant run --policy=$policy -- ls /proc/self/fd
	is "$policy: no descriptor of ours" "$(wc -l <"$OUT")" "$wanted"
	run decant run --policy=$policy -- cat /proc/self/status
	is "$policy: no signal is blocked or ignored for it" "$(signals "$OUT")" \
		"$(timeout "$LIMIT" cat /proc/self/status | signals)"
done
run bash -c 'trap "" PIPE HUP; "$DECANT" run --policy=copy-v2 -- cat /proc/self/status'
is "what is ignored stays so" "$(signals "$OUT")" "$(bash -c 'trap "" PIPE HUP
	exec cat /proc/self/status' | signals)"
for policy in legacy deny copy-v2 "stable --mechanism=notify" "stable --mechanism=preload"; do
	# shellcheck disable=SC2086
	run python3 - $policy <<-'END'
		import os, signal, sys
		signal.signal(signal.SIGCHLD, signal.SIG_IGN)
		os.execv(os.environ["DECANT"], ["decant", "run", "--policy=" + sys.argv[1],
			*sys.argv[2:], "--", "awk",
			"/SigIgn/; END { exit 7 }", "/proc/self/status"])
	END
	status 7 "$policy: started by one that ignores its children"
	ok "  which the program inherits" test $((16#$(cut -f2 "$OUT") >> 16 & 1)) = 1
done
run bash -c '"$DECANT" run --policy=copy-v2 -- ls /proc/self/fd <&- | head -1'
is "closed standard input stays closed, for programs" "$(head -1 "$OUT")" \
	"$(ls /proc/self/fd <&- | head -1)"
run bash -c '"$DECANT" run --policy=copy-v2 -- yes | head -1'
is "a reader that goes away" "$(cat "$OUT")" y

# ------------------------------------------------------------------------ signals
"$DECANT" run --policy=copy-v2 --report=r.txt -- \
	sh -c 'trap "echo got it; exit 7" TERM; echo ready; while :; do sleep 0.05; done' \
	>"$OUT" 2>"$ERR" &
pid=$!
wait_text "$OUT" ready
kill -TERM "$pid"
wait "$pid"
status=$?
is "SIGTERM is passed on" "$status" 7
prints "got it" "  to the program"

# ------------------------------------------------------------------ what it does
for policy in copy-v1 copy-v2; do
	run decant run --policy=$policy -- "$VICTIM" later call
	prints "a later write is not seen" "$policy: a copy"
done
run "$VICTIM" later call
prints "a later write is seen" "control: natively it is seen"
run decant run --policy=legacy -- "$VICTIM" later call
prints "a later write is seen" "legacy: as it was"
run decant run --policy=deny -- "$VICTIM" flags call
prints "-ENOSYS" "deny: ENOSYS"
is "  for every call" "$(sort -u "$OUT" | wc -l)" 2
run decant run --policy=deny --report=r.txt -- "$VICTIM" flags call
is "  the same when it is counted" "$(sort -u "$OUT" | wc -l)" 2

# ------------------------------------------------------------------------ reports
run decant run --policy=legacy --report=r.json --json -- "$VICTIM" modified call
is "JSON: the policy" "$(json r.json 'o["policy"]')" legacy
is "  the mechanism, and why" "$(json r.json 'o["mechanism"], len(o["why"]) > 10')" \
	"('trace', True)"
is "  the end" "$(json r.json 'o["status"]')" 0
is "  one site" "$(json r.json '[len(p["sites"]) for p in o["programs"]]')" "[1]"
site='o["programs"][0]["sites"][0]'
is "  call, bytes, flags, ends" \
	"$(json r.json "[${site}[k] for k in ('call', 'bytes', 'flags', 'from', 'to')]")" \
	"['vmsplice', 4096, ['SPLICE_F_GIFT'], ['memory'], ['pipe']]"
ok "  its symbol is behind libc's wrapper" grep -q '"symbol":"[a-z]' r.json
is "  it modifies the buffer" \
	"$(json r.json "'modified' in [f['name'] for f in ${site}['findings']]")" True
run decant run --policy=audit -- "$VICTIM" modified call
says "vmsplice at " "audit: the report is on standard error"
says "modifies the buffer after vmsplice on fd" "  in words"
is "  the program's output is its own" "$(wc -l <"$OUT")" 2
for mechanism in trace notify; do
	run decant run --policy=audit --mechanism=$mechanism -- "$VICTIM" modified call
	says "modifies the buffer after vmsplice on fd" "  by $mechanism"
	for case in basic given_back blocking full; do
		run decant run --policy=audit --mechanism=$mechanism -- "$VICTIM" $case call
		ok "control: $case, $mechanism: who modifies nothing is not accused" \
			test "$(grep -c modifies "$ERR")" = 0
	done
	run decant run --policy=audit --mechanism=$mechanism -- "$VICTIM" fifo call
	says "NOT SEEN: whether buffers are changed after vmsplice to a FIFO" "  $mechanism: FIFOs"
done
run decant run --policy=audit --mechanism=notify -- "$VICTIM" blocking call
says "NOT SEEN: what vmsplice returned" "notify does not see results, and says so"
run decant run --policy=audit -- "$VICTIM" blocking call
is "  which trace sees" "$(grep -c "NOT SEEN" "$ERR")" 0
run decant run --policy=audit --mechanism=preload -- "$VICTIM" modified call
says "NOT SEEN: whether buffers are changed" "preload cannot see it, and says so"
run decant run --policy=audit -- "$VICTIM" basic call
says "verdict: nothing seen" "  and has a clean verdict"
run decant run --policy=audit -- "$VICTIM" after_splice call
says "would fail under copy-v2,nowait=kernel: vmsplice after splice on fd" "after splice"
run decant run --policy=copy-v2,nowait=kernel -- "$VICTIM" after_splice call
prints "blocking: -EOPNOTSUPP" "  so it does"
run decant run --policy=audit -- "$VICTIM" o_nonblock call
says "SPLICE_F_NONBLOCK alone on an O_NONBLOCK pipe" "what libfuse does"
run decant run --policy=audit -- "$VICTIM" full call
says "polls for EAGAIN" "polling"
run decant run --policy=audit -- "$VICTIM" blocking call
says "would wait for the rest under copy-v1" "what LTP's vmsplice01 does"
run decant run --policy=warn -- "$VICTIM" later call
is "warn: one line for the place" "$(grep -c '^decant: .*SPLICE_F_GIFT at' "$ERR")" 1
run decant run --policy=warn -- "$VICTIM" basic call
is "  none without GIFT" "$(grep -c '^decant: ' "$ERR")" 0
run decant run --policy=audit -- true
says "none of the calls that policies are about was made" "a program that makes none"
run decant run --policy=audit -- sh -c "$VICTIM basic call; $VICTIM-32 basic call; true"
says "victim-semantics-32" "each program by itself, i386 too"

cat >ring.c <<'END'
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	static char params[128];
	printf("%ld\n", syscall(SYS_io_uring_setup, 4, params) > 0 ? 1L : 0L);
	return 0;
}
END
if cc -o ring ring.c && [ "$(./ring)" = 1 ]; then
	run decant run --policy=audit -- ./ring
	says "NOT SEEN: $PWD/ring set up io_uring" "io_uring is a hole, and loud"
fi

# ------------------------------------------------- other users, roots and namespaces
if [ "$(id -u)" = 0 ]; then
	nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
	chmod 755 . && cp "$VICTIM" "$VICTIM-static" . && mkdir root && cp "$VICTIM-static" root/
	for how in trace notify; do
		# shellcheck disable=SC2086
		for command in "$nobody ./victim-semantics" "unshare -pf --mount-proc $VICTIM" \
			"chroot root /victim-semantics-static"; do
			run decant run --policy=copy-v2 --mechanism=$how -- $command later call
			prints "is not seen" "$how: ${command%% *}"
		done
		run unshare -pf --mount-proc "$DECANT" run --policy=copy-v2 --mechanism=$how -- \
			"$VICTIM" later call
		prints "is not seen" "$how: itself in a pid namespace"
		cp "$DECANT" ours && chmod 755 ours
		# shellcheck disable=SC2086
		run $nobody ./ours run --policy=copy-v2 --mechanism=$how --report=- -- \
			./victim-semantics later call
		prints "is not seen" "$how: an ordinary user"
		says "no_new_privs had to be set" "  is told what that takes"
	done
	run decant run --policy=copy-v2 -- grep NoNewPrivs /proc/self/status
	is "root keeps setuid programs" "$(cut -f2 "$OUT")" 0
fi

# ----------------------------------------------------------- the supervisor is killed
"$DECANT" run --policy=copy-v2 -- sh -c 'echo $$; sleep 20; echo it went on' >"$OUT" 2>"$ERR" &
pid=$!
wait_text "$OUT" ""
sleep 0.2
kill -KILL "$pid"
wait "$pid" 2>/dev/null
gone() {
	local i
	for ((i = 0; i < 100 * SLOW; i++)); do
		kill -0 "$(head -1 "$OUT")" 2>/dev/null || return 0
		sleep 0.05
	done
	return 1
}
ok "trace: the program dies with its supervisor" gone
ok "  and did not go on" test "$(grep -c 'went on' "$OUT")" = 0
finish
