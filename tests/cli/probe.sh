#!/bin/bash
# SPDX-License-Identifier: MIT
# The facts: as a table, as JSON, masked, and what they cost.
# shellcheck disable=SC1091
. "$(dirname "$0")/lib.bash"

run decant probe
status 0 "probe"
prints "FACT " "  a table"
ok "  more than ten facts" test "$(wc -l <"$OUT")" -gt 11
is "  each yes, no or unknown" \
	"$(tail -n +2 "$OUT" | awk '$2 != "yes" && $2 != "no" && $2 != "unknown"' | wc -l)" 0
is "  each with a reason" "$(awk 'NF < 3' "$OUT" | wc -l)" 0
start=$(awk 'NR == 1 { print index($0, "WHY") }' "$OUT")
is "  in aligned columns" "$(tail -n +2 "$OUT" | cut -c $((start - 1)) | sort -u)" " "

run decant probe --json
status 0 "--json"
is "  the same facts" "$(json "$OUT" '"\n".join(f["name"] for f in o["facts"])')" \
	"$(decant probe | tail -n +2 | cut -d' ' -f1)"
is "  with all of it" "$(json "$OUT" 'sorted(o["facts"][0])')" \
	"['masked', 'name', 'state', 'value', 'what', 'why']"
is "  the version" "decant $(json "$OUT" 'o["version"]')" "$(decant --version)"
is "  a limit's value" "$(json "$OUT" \
	'[f["value"] for f in o["facts"] if f["name"] == "pipe_size"][0] >= 65536')" True

fact() {
	json "$OUT" "[(f['state'], f['masked'], f['why'])
		for f in o['facts'] if f['name'] == '$1'][0]"
}
run decant probe --json --mask splice,tee
is "--mask" "$(fact splice) $(fact tee)" "('no', True, 'masked') ('no', True, 'masked')"
is "  what stands on it falls, too" "$(json "$OUT" \
	'[f["state"] for f in o["facts"] if f["name"] == "splice_direct"]')" "['no']"
DECANT_MASK=sendfile run decant probe --json
is "DECANT_MASK" "$(fact sendfile)" "('no', True, 'masked')"
DECANT_MASK=sendfile run decant probe --json --mask tee
is "  both together" "$(fact sendfile) $(fact tee)" "('no', True, 'masked') ('no', True, 'masked')"
run decant probe --mask sendfiel
status 2 "a wrong --mask is not ignored"
DECANT_MASK=sendfiel run decant probe
status 1 "a wrong DECANT_MASK is not ignored"

ok "nothing was calibrated unasked" test ! -e .cache/decant
start=$(date +%s)
run decant probe --calibrate --seconds 2 --dir .
status 0 "--calibrate"
says "measuring for about 2 s" "  says how long it will be"
says "plans use it from now on" "  and that it is used"
ok "  takes about as long as it was given" test $(($(date +%s) - start)) -le $((20 * SLOW))
ok "  keeps what it found in the user's cache" test -n "$(find .cache -type f -size +0)"
only "  and leaves no scratch files"
run timeout --preserve-status -s TERM 1 "$DECANT" probe --calibrate --seconds 60 --dir .
status 143 "a signal ends it"
only "  and leaves no scratch files either"
run decant explain zero:1M null:
status 0 "the planner reads it"
find .cache -type f -exec sh -c 'echo nonsense >"$1"' sh {} \;
run decant explain zero:1M null:
status 0 "a cost file that is broken is no reason to fail"
fails "in absent: No such file" decant probe --calibrate --dir absent
finish
