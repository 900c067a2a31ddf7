#!/bin/bash
# SPDX-License-Identifier: MIT
# decant run, with its Nth system call failing, or itself being killed there: the
# program runs under the policy or not at all, never natively, and nothing hangs.
# shellcheck disable=SC1091
. "$(dirname "$0")/../cli/lib.bash"
VICTIM=${DECANT_BUILD:?}/tests/victims/victim-semantics
STEPS=70
[ "${DECANT_TEST_FULL-}" = 1 ] && STEPS=400

fault() { # FAULT MECHANISM
	DECANT_FAULT=$1 timeout -k 1 15 "$DECANT" run --policy=copy-v2 --mechanism="$2" \
		--report=r.txt -- "$VICTIM" later call >"$OUT" 2>"$ERR"
	STATUS=$?
}

# Whether the program that the last run started is gone.
gone() {
	local i
	for ((i = 0; i < 100 * SLOW; i++)); do
		pgrep -f "^$VICTIM later call" >/dev/null || return 0
		sleep 0.05
	done
	return 1
}

for mechanism in trace notify; do
	failed=0 right=0 native=0 silent=0 hung=0
	for ((n = 1; n <= STEPS; n++)); do
		fault $n $mechanism
		case $STATUS in 124) hung=$((hung + 1)) && tell ;; esac
		if [ $STATUS = 0 ]; then
			if grep -q "is not seen\|write: -E" "$OUT"; then
				right=$((right + 1))
			else
				silent=$((silent + 1)) && echo "# N=$n" && tell
			fi
		else
			failed=$((failed + 1))
			if [ ! -s "$ERR" ] && [ $STATUS != 137 ]; then
				silent=$((silent + 1)) && echo "# N=$n" && tell
			fi
		fi
		grep -q "is seen" "$OUT" && native=$((native + 1)) && echo "# N=$n" && tell
	done
	is "$mechanism: never natively" $native 0
	is "$mechanism: never a hang" $hung 0
	is "$mechanism: never an end without a result or a sentence" $silent 0
	ok "$mechanism: control: some failed ($failed), some did not ($right)" \
		test $failed -gt 10 -a $right -gt 5

	native=0 killed=0
	for ((n = 1; n <= STEPS; n++)); do
		fault "$n:*:kill" $mechanism
		[ $STATUS = 137 ] && killed=$((killed + 1))
		grep -q "is seen" "$OUT" && native=$((native + 1)) && echo "# N=$n" && tell
	done
	is "$mechanism: killed at each step: never natively" $native 0
	ok "$mechanism: control: it was killed ($killed)" test $killed -gt 20
	ok "$mechanism: nothing goes on" gone
done
finish
