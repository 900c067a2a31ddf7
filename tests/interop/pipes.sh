#!/bin/bash
# SPDX-License-Identifier: MIT
# In pipelines of other programs, and against their checksums.
# shellcheck disable=SC1091,SC2002
. "$(dirname "$0")/../cli/lib.bash"
head -c 7000003 /dev/urandom >src
SHA=$(sha256sum <src | cut -d' ' -f1)
CRC=$(cksum <src)

rest() { # the statuses of a pipeline's commands, all 0
	echo "${PIPESTATUS[*]}"
}

# At the end of a pipeline, at its beginning, and in its middle.
for how in "" --live "--route read-write" "--route splice" "--route recv-direct" \
	"--backend threads" --checksum --direct --sync; do
	rm -f out
	# shellcheck disable=SC2086
	cat src | decant copy - out $how >/dev/null
	is "cat | decant ${how:-as planned}" "$(rest) $(sha256sum <out | cut -d' ' -f1)" "0 0 $SHA"
done
for how in "" --live "--route read-write" "--route map-write" "--route direct-splice" \
	"--live --route splice" "--backend threads" --direct; do
	# shellcheck disable=SC2086
	is "decant | sha256sum, ${how:-as planned}" \
		"$(decant copy src - $how | sha256sum | cut -d' ' -f1)" "$SHA"
done
for how in "" --live "--route read-write" "--live --route splice" "--backend threads"; do
	# shellcheck disable=SC2086
	is "dd | decant | cksum, ${how:-as planned}" \
		"$(dd if=src bs=32k status=none | decant copy - - $how | cksum)" "$CRC"
done
for bs in 1k 3001 64k 1M 7000003; do
	is "dd bs=$bs | decant | dd | cksum" "$(dd if=src bs=$bs status=none | decant copy - - |
		dd bs=$bs iflag=fullblock status=none | cksum)" "$CRC"
done
is "three of us in a row" "$(cat src | decant copy - - | decant copy - - | decant copy - - |
	cksum)" "$CRC"
is "gzip | decant | gzip -d" "$(gzip -1 <src | decant copy - - | gzip -d | cksum)" "$CRC"
mkdir tree && cp src tree/a && head -c 100 src >tree/b
tar cf - tree | decant copy - tree.tar
is "tar | decant" "$(rest) $(tar xOf tree.tar tree/a | cksum)" "0 0 $CRC"
decant copy tree.tar - | tar xf - --transform s/tree/again/
is "decant | tar" "$(rest)" "0 0"
ok "  the same tree" diff -r tree again
# shellcheck disable=SC2094
cat src | tee >(decant copy - teed) >/dev/null
for ((i = 0; i < 100; i++)); do [ -e teed ] && break; sleep 0.05; done
ok "tee >(decant)" cmp src teed
is "  --length takes its part and leaves the rest" \
	"$(cat src | (decant copy - part --length 1000003; cksum))" "$(tail -c 6000000 src | cksum)"
ok "  the part" cmp -n 1000003 src part
yes | decant copy - lines --length 1000001
is "yes, which never ends" "$(rest | cut -d' ' -f2) $(stat -c %s lines)" "0 1000001"
decant copy /dev/zero - --length 5M | head -c 1000 | wc -c >count
is "head, which does not wait for the end" "$(cat count)" 1000
mkfifo fifo
cat fifo >from-fifo & reader=$!
run decant copy src fifo
wait $reader
ok "cat reads the FIFO that we write" cmp src from-fifo
cat src >fifo & writer=$!
run decant copy fifo by-us
wait $writer
ok "we read the FIFO that cat writes" cmp src by-us

# Checksums: what we print is what other programs compute, and they can check it.
for size in 0 1 63 64 4096 240000 7000003; do
	head -c $size src >part.$size
	want="$(xxhsum -H3 part.$size 2>/dev/null)"
	for to in null: "out.$size"; do
		rm -f "out.$size"
		run decant copy part.$size $to --checksum
		is "xxh3 of $size bytes to $to: as xxhsum says" \
			"$(sed 's/(out/(part/' "$OUT" | grep -o '= .*')" \
			"= $(echo "$want" | grep -o '[0-9a-f]\{16\}' | head -1)"
	done
	ok "  xxhsum -c takes the line" xxhsum -q -c "$OUT"
	rm -f "out.$size"
	run decant copy part.$size out.$size --checksum=sha256
	is "sha256 of $size bytes: as sha256sum says" "$(cut -d' ' -f1 "$OUT")" \
		"$(sha256sum <part.$size | cut -d' ' -f1)"
	ok "  sha256sum -c takes the line" sha256sum --status -c "$OUT"
done
printf X | dd of=out.4096 bs=1 seek=77 conv=notrunc status=none
run decant copy part.4096 other --checksum=sha256
sed 's/other/out.4096/' "$OUT" >line
ok "control: it does not take one of another file" bash -c '! sha256sum --status -c line'
cat src | decant copy - piped --checksum=sha256 >line
ok "of a pipe" sha256sum --status -c line
decant copy src - --checksum=sha256 2>line | cat >copied
is "to a pipe: on stderr, under the source's name" "$(cat line)" "$SHA  src"
run decant copy src range --offset 12345 --length 1M --checksum=sha256
is "of a part" "$(cut -d' ' -f1 "$OUT")" \
	"$(tail -c +12346 src | head -c 1M | sha256sum | cut -d' ' -f1)"
truncate -s 3M sparse
printf data | dd of=sparse bs=1 seek=1M conv=notrunc status=none
run decant copy sparse holes --checksum=sha256
is "of a file with holes" "$(cut -d' ' -f1 "$OUT")" "$(sha256sum <sparse | cut -d' ' -f1)"

# The pattern of mem: is the one that decant(7) describes, so that others can check it.
decant copy mem:100003 pattern
is "mem: is splitmix64 with the seed 0" "$(python3 - <<'PY'
MASK = (1 << 64) - 1
state, data = 0, b""
while len(data) < 100003:
    state = state + 0x9e3779b97f4a7c15 & MASK
    z = state
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & MASK
    z = (z ^ z >> 27) * 0x94d049bb133111eb & MASK
    data += (z ^ z >> 31).to_bytes(8, "little")
print(data[:100003] == open("pattern", "rb").read())
PY
)" True
finish
