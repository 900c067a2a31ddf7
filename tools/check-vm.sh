#!/bin/bash
# SPDX-License-Identifier: MIT
# make check-vm: the tests on Debian's own kernel (6.1), in a virtual machine.
#	tools/check-vm.sh [TEST...]		tests with these words in their names
#	tools/check-vm.sh --control		a panic, a hang and an init that dies must be seen
#	tools/check-vm.sh --run COMMAND...	anything else there (in the source directory)
#	tools/check-vm.sh --bench		pre-dumps of each criu of the PATH and of decant
# The machine is emulated (qemu, no KVM needed).  Its root is this machine's
# own, read-only over 9p, below an overlay in memory: nothing is installed,
# nothing here is changed.  The last line is "N passed, N failed, N skipped".
#
#	DECANT_VM_BUILD=DIR	a build to test (else build-check/plain is made)
#	DECANT_VM_SECONDS=N	all ends after so long (14400)
#	DECANT_VM_MEMORY=SIZE	of the machine (5G)
#	DECANT_VM_SLOW=N	how much slower than real hardware it is taken to be (10)
#	DECANT_VM_ACCEL=kvm	hardware virtualisation instead of emulation
set -euo pipefail
cd "$(dirname "$0")/.."
source_dir=$PWD
vm=$source_dir/build-check/vm
seconds=${DECANT_VM_SECONDS-14400}
slow=${DECANT_VM_SLOW-10}
mkdir -p "$vm"

broken()
{
	echo "check-vm: $1"
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
}

# ------------------------------------------------------------- the machine

# Only what a test can need: the whole of it is 400 MB.
unpack_kernel()
{
	local package
	package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: //p' | head -n 1)
	[ -n "$package" ] || broken "apt knows no linux-image-amd64 (apt-get update?)"
	kernel=$vm/$package
	release=${package#linux-image-}
	[ ! -e "$kernel/complete" ] || return 0
	echo "check-vm: fetching $package"
	rm -rf "$kernel"
	mkdir -p "$kernel"
	(cd "$kernel" && apt-get -qq -o APT::Sandbox::User=root download "$package") ||
		broken "cannot download $package"
	dpkg-deb --fsys-tarfile "$kernel"/*.deb | tar x -C "$kernel" --wildcards './boot/*' \
		'./lib/modules/*/kernel/'{arch,crypto,fs,lib,net,drivers/{block,net,virtio}} \
		'./lib/modules/*/modules.*'
	rm "$kernel"/*.deb
	depmod -b "$kernel" "$release"
	touch "$kernel/complete"
}

# The first program and the modules that lead to the root; busybox runs them.
pack_initrd()
{
	local root=$vm/initrd.d module
	rm -rf "$root"
	mkdir -p "$root"/{bin,proc,sys,dev,modules}
	cp "$(command -v busybox)" "$root/bin/busybox"
	for module in virtio_pci virtio_blk 9p 9pnet_virtio overlay crc32c_generic ext4; do
		modprobe -d "$kernel" -S "$release" -D "$module"
	done | sed -n 's/^insmod //p' | awk '!seen[$1]++ { print $1 }' >"$vm/modules"
	xargs -a "$vm/modules" cp -t "$root/modules"
	sed 's,.*/,,' "$vm/modules" >"$root/modules/order"
	cp tools/vm/init "$root/init"
	{
		printf '%s\n' "$source_dir/tools/vm/inside.sh" "$vm" "$kernel" "$source_dir" \
			"$(realpath "${DECANT_VM_BUILD-.}")"
		# Of every version on the PATH.
		{ type -ap criu || true; } | xargs -r -n 1 dirname | xargs -r realpath
	} >"$root/paths"
	(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 >"$vm/initrd"
	rm -rf "$root"
}

# boot SECONDS: $vm/job is run there; what it prints is printed and in $vm/output.
boot()
{
	local status=0 cpu=max accel=${DECANT_VM_ACCEL-tcg}
	local root=local,path=/,mount_tag=root,readonly=on
	root+=,security_model=none,multidevs=remap
	# "rep movsb" is emulated byte by byte: without it memory is copied three times as fast.
	[ "$accel" != tcg ] || cpu+=,-erms
	rm -f "$vm/disk"
	truncate -s 12G "$vm/disk"
	mke2fs -q -F -t ext4 -E lazy_itable_init=1,lazy_journal_init=1 "$vm/disk"
	timeout -k 10 "$1" nice -n 19 qemu-system-x86_64 -accel "$accel" \
		-cpu "$cpu" -m "${DECANT_VM_MEMORY-5G}" -smp 2 \
		-nodefaults -no-user-config -display none -no-reboot \
		-serial "file:$vm/console" -serial stdio -device virtio-rng-pci \
		-kernel "$kernel/boot/vmlinuz-$release" -initrd "$vm/initrd" \
		-append "console=ttyS0 quiet panic=-1 oops=panic tsc=reliable mitigations=off" \
		-drive "file=$vm/disk,format=raw,if=virtio,cache=unsafe,discard=unmap" \
		-virtfs "$root" \
		</dev/null 2>&1 | tee "$vm/output" || status=$?
	rm -f "$vm/disk"
	ended=$(sed -n 's/^check-vm: the job ended with //p' "$vm/output" | tail -n 1)
	[ -z "$ended" ] || return 0
	tail -n 40 "$vm/console"
	if [ $status = 124 ] || [ $status = 137 ]; then
		ended="still running after $1 s"
	elif grep -q 'Kernel panic' "$vm/console"; then
		ended="the kernel panicked"
	else
		ended="the machine ended before the job (qemu: $status)"
	fi
}

job()
{
	{
		printf 'cd %q\n' "$source_dir"
		printf 'export PATH=%q\n' "$PATH"
		printf 'export DECANT_TIMEOUT_FACTOR=%s TAP_SLOW=%s DECANT_VM=1\n' "$slow" "$slow"
		printf '%q ' "$@"
		echo
	} >"$vm/job"
}

# ---------------------------------------------------------------- the runs

# What the machine does of itself must be seen: a check that cannot fail says nothing.
control()
{
	local want=$1 limit=$2
	shift 2
	job "$@"
	boot "$limit" >/dev/null
	case $ended in
	"$want"*) echo "ok - seen: $ended" ;;
	*)
		echo "not ok - $*: wanted '$want', got '$ended'"
		return 1
		;;
	esac
}

controls()
{
	control 0 120 true || return 1
	control 3 120 sh -c 'exit 3' || return 1
	control 'the kernel panicked' 120 sh -c 'echo c >/proc/sysrq-trigger; sleep 100' || return 1
	control 'still running' 60 sleep 1000
}

for tool in qemu-system-x86_64 busybox cpio depmod dpkg-deb mke2fs; do
	[ -n "$(PATH=$PATH:/usr/sbin:/sbin command -v $tool)" ] || broken "there is no $tool here"
done
PATH=$PATH:/usr/sbin:/sbin
unpack_kernel
pack_initrd

make_build()
{
	build=${DECANT_VM_BUILD-}
	[ -z "$build" ] || return 0
	build=./build-check/plain
	[ -f "$build/build.ninja" ] ||
		meson setup -Dfaults=true -Dwerror=true "$build" >"$vm/build.log" 2>&1 ||
		broken "does not build: see $vm/build.log"
	ninja -C "$build" >"$vm/build.log" 2>&1 || { cat "$vm/build.log"; broken "does not build"; }
}

other()
{
	job "$@"
	boot "$seconds"
	[ "$ended" = 0 ] || broken "$ended"
	exit 0
}

case ${1-} in
--control)
	controls && exit 0
	broken "the controls failed"
	;;
--run)
	shift
	other "$@"
	;;
--bench)
	shift
	make_build
	other bench/criu.py "$@" "$(realpath "$build")"
	;;
esac

make_build
if [ $# = 0 ]; then
	controls || broken "the controls failed"
	set -- unit/ system/ api/ fault/ cli/ interop/
fi
# valgrind on top of an emulator shows nothing that it does not show without.
words=(-x '(valgrind)')
for word; do
	words+=(-k "$word")
done
cat tests/skips-allowed tests/vm-skips >"$vm/skips"
job tests/run --again --skips "$vm/skips" "${words[@]}" "$(realpath "$build")"
boot "$seconds"
case $ended in
0 | 1) exit "$ended" ;;
*) broken "$ended" ;;
esac
