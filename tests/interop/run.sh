#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs that use vmsplice and splice in earnest, under every policy: fio's splice
# engine with verification, pv, yes and cat, a shell's pipelines.
# shellcheck disable=SC1091
. "$(dirname "$0")/../cli/lib.bash"

fio_verifies() { # POLICY MECHANISM
	rm -f j.0.0
	run decant run --policy="$1" --mechanism="$2" --report=r.txt -- fio --name=j \
		--ioengine=splice --rw=randrw --size=512K --verify=crc32c --output=fio.out
}

head -c 3M /dev/urandom >data
sum=$(sha256sum <data)
for mechanism in trace notify; do
	for policy in legacy warn copy-v1 copy-v2 audit stable copy-v2,stable; do
		case $mechanism,$policy in trace,*stable*) continue ;; esac
		fio_verifies $policy $mechanism
		status 0 "fio, verified, under $policy by $mechanism"
		ok "  it was seen" grep -q "vmsplice at" r.txt
	done
	for policy in copy-v1 copy-v2; do
		fio_verifies $policy,nowait=kernel $mechanism
		status 1 "fio breaks under $policy,nowait=kernel by $mechanism"
		ok "  with EOPNOTSUPP" grep -q "err=95" fio.out
		ok "  which the audit had foretold" grep -q "would fail under $policy" r.txt
	done
done
fio_verifies deny trace
ok "fio breaks under deny" test "$STATUS" != 0

for how in "copy-v2 trace" "copy-v2 notify" "copy-v2 preload" "stable notify" "stable preload" \
	"audit trace" "deny auto"; do
	# shellcheck disable=SC2086
	set -- $how
	is "pv, $how" "$(decant run --policy="$1" --mechanism="$2" --report=/dev/null -- \
		pv -q data | sha256sum)" "$sum"
	is "cat, $how" "$(decant run --policy="$1" --mechanism="$2" --report=/dev/null -- \
		cat data | sha256sum)" "$sum"
	is "yes, $how" "$(decant run --policy="$1" --mechanism="$2" --report=/dev/null -- \
		yes 2>/dev/null | head -c 1M | sha256sum)" "$(yes | head -c 1M | sha256sum)"
	is "a pipeline, $how" "$(decant run --policy="$1" --mechanism="$2" --report=/dev/null -- \
		sh -c 'gzip -1 <data | pv -q | gzip -d | cat' | sha256sum)" "$sum"
done

# Another tracer finds room under notify, and none under trace.
run decant run --policy=copy-v2 --mechanism=notify --report=/dev/null -- \
	gdb -nx -batch -ex run -ex quit --args true
prints "exited normally" "gdb runs a program under notify"
run decant run --policy=copy-v2 --report=r.txt -- gdb -nx -batch -ex run -ex quit --args true
prints "exited normally" "gdb is given notify by itself"
ok "  and the report says why" grep -q "by notify (the program traces others" r.txt
finish
