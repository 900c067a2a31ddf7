#!/bin/bash
# SPDX-License-Identifier: MIT
# Files as other programs see them: cp, cmp, du, filefrag, stat; on ext4, XFS and
# btrfs of our own, on tmpfs, and on block devices.
# shellcheck disable=SC1091
. "$(dirname "$0")/../cli/lib.bash"
need_root
MOUNTED=()
LOOPS=()

eval "clean_up_rest() $(declare -f clean_up | tail -n +2)"
clean_up() {
	cd "$TMP" || exit 1
	for at in "${MOUNTED[@]}"; do umount "$at"; done
	for loop in "${LOOPS[@]}"; do losetup -d "$loop"; done
	clean_up_rest
}

file_system() { # NAME MKFS...: mounted at NAME
	local name=$1
	shift
	mkdir "$name"
	truncate -s 400M "$name.img"
	"$@" "$name.img" >"$OUT" 2>"$ERR" && mount -o loop "$name.img" "$name" &&
		MOUNTED+=("$PWD/$name")
}

# What is data and what is hole, block by block.
extents() {
	python3 - "$1" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
end, at, data = os.fstat(fd).st_size, 0, []
while at < end:
    try:
        start = os.lseek(fd, at, os.SEEK_DATA)
    except OSError:
        break
    at = os.lseek(fd, start, os.SEEK_HOLE)
    data.append((start // 4096, (at + 4095) // 4096))
print(end, data)
PY
}

# Blocks of 512 bytes that the file shares with others.
shared_blocks() {
	filefrag -v "$1" | awk '/shared/ { n++ } END { print n + 0 }'
}

ok "ext4" file_system ext4 mkfs.ext4 -q
ok "XFS" file_system xfs mkfs.xfs -q
ok "btrfs" file_system btrfs mkfs.btrfs -q
mkdir tmpfs
ok "tmpfs" mount -t tmpfs -o size=200M none tmpfs
MOUNTED+=("$PWD/tmpfs")
head -c 5000011 /dev/urandom >src

for fs in ext4 xfs btrfs tmpfs; do
	cd "$TMP/$fs" || exit 1
	cp ../src plain
	# A file with holes in front, between, at odd places, and at its end.
	truncate -s 20M holes
	for at in 1048576 1052673 5000000 9999999; do
		printf 'some data' | dd of=holes bs=1 seek=$at conv=notrunc status=none
	done
	dd if=../src of=holes bs=1M count=2 seek=12 conv=notrunc status=none
	sync holes
	cp --sparse=auto --reflink=never holes by-cp
	for how in "" "--route read-write" "--route copy-range" --checksum "--backend threads" \
		"--route direct"; do
		[ "$fs $how" = "tmpfs --route direct" ] && continue
		rm -f by-us
		# shellcheck disable=SC2086
		run decant copy holes by-us $how
		status 0 "$fs: holes, ${how:-as planned}"
		ok "  the same bytes" cmp holes by-us
		sync by-us
		is "  no larger than cp makes it (KiB, du)" \
			"$(($(du -k by-us | cut -f1) <= $(du -k by-cp | cut -f1) + 64))" 1
		[ "$fs" = tmpfs ] || [ "$how" != "" ] ||
			is "  holes are where they were" "$(extents by-us)" "$(extents holes)"
	done
	cp --sparse=never --reflink=never holes full
	sync full
	ok "  control: a file without holes is larger" \
		test "$(du -k full | cut -f1)" -gt "$(($(du -k by-cp | cut -f1) + 64))"
	rm -f by-us
	truncate -s 50M empty
	run decant copy empty by-us
	is "$fs: nothing but a hole takes no room" "$(stat -c %s by-us) $(du -k by-us | cut -f1)" \
		"52428800 0"
	run decant copy plain "by us"
	ok "$fs: cmp finds no difference" cmp plain "by us"
	run decant copy plain "by us" --force --sync
	ok "  nor after replacing it" cmp plain "by us"
	cp plain there
	chmod 604 there
	chown 12:34 there
	run decant copy plain there --force
	is "$fs: owner and permissions stay, as with cp" "$(stat -c '%a %u %g' there)" "604 12 34"
	umask 027
	chmod 777 plain
	cp plain as-cp
	run decant copy plain as-us
	is "$fs: a new file's are those that cp gives" "$(stat -c %a as-us)" "$(stat -c %a as-cp)"
	umask 022
	find . -mindepth 1 -maxdepth 1 -type f -delete
done

# Sharing blocks, as cp --reflink does it.
for fs in xfs btrfs; do
	cd "$TMP/$fs" || exit 1
	cp ../src plain
	sync plain
	cp --reflink=always plain by-cp
	run decant copy plain by-us -v
	says "route reflink" "$fs: reflink"
	ok "  the same bytes" cmp plain by-us
	is "  every block is shared, as with cp --reflink" "$(shared_blocks by-us)" \
		"$(shared_blocks by-cp)"
	ok "  control: some are" test "$(shared_blocks by-us)" -gt 0
	printf X | dd of=by-us bs=1 seek=5000 conv=notrunc status=none
	ok "  the source stays as it was" cmp plain ../src
	run decant copy plain apart --mask reflink,copy_file_range
	sync apart
	is "  control: a copy shares none" "$(shared_blocks apart)" 0
	find . -mindepth 1 -maxdepth 1 -type f -delete
done
cd "$TMP" || exit 1
cp src ext4/a
run decant copy ext4/a xfs/a
ok "from ext4 to XFS" cmp ext4/a xfs/a
run decant copy xfs/a tmpfs/a
ok "from XFS to tmpfs" cmp xfs/a tmpfs/a

# Block devices, against dd and cmp.
truncate -s 32M disk
LOOP=$(losetup -f --show disk)
LOOPS+=("$LOOP")
head -c 32M /dev/urandom >image
run decant copy image "$LOOP"
status 0 "to a block device"
blockdev --flushbufs "$LOOP"
ok "  dd reads the same" cmp <(dd if="$LOOP" bs=1M status=none) image
run decant copy "$LOOP" read
status 0 "from a block device"
ok "  the same" cmp read image
rm -f read
for how in --direct --checksum=sha256 "--live" "--backend threads" --sync; do
	dd if=/dev/zero of="$LOOP" bs=1M count=32 conv=fsync status=none
	# shellcheck disable=SC2086
	run decant copy image "$LOOP" $how
	status 0 "to it, $how"
	blockdev --flushbufs "$LOOP"
	ok "  the same" cmp "$LOOP" image
	# shellcheck disable=SC2086
	run decant copy "$LOOP" read $how
	ok "from it, $how" cmp read image
	rm -f read
done
run decant copy src "$LOOP" --to-offset 1M
cp image wanted
dd if=src of=wanted bs=1M seek=1 conv=notrunc status=none
ok "into its middle: as dd would" cmp "$LOOP" wanted
run decant copy "$LOOP" part --offset 1M --length 5000011
ok "out of its middle" cmp part src
is "to a pipe" "$(decant copy "$LOOP" - | cmp - wanted && echo same)" same
# shellcheck disable=SC2002
cat image | decant copy - "$LOOP"
ok "from a pipe" cmp "$LOOP" image
mkfs.ext4 -q "$LOOP" 16M
mkdir used && mount "$LOOP" used && MOUNTED+=("$PWD/used")
fails "in use" decant copy src "$LOOP"
says "--force" "  and names --force"
run decant copy "$LOOP" image2 --length 16M
status 0 "one that is mounted can be read"
head -c 64M /dev/zero >large
fails "No space left" decant copy large "$LOOP" --force
finish
