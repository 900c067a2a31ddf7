#!/bin/bash
# SPDX-License-Identifier: MIT
# Process 1 of the virtual machine: makes it look like a machine, runs the job
# with its words on the second serial line, and switches off.
#	tools/vm/inside.sh DIRECTORY-OF-THE-VM DIRECTORY-OF-THE-KERNEL DIRECTORY...
# The directories stay visible when they lie below /tmp.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
vm=$1
kernel=$2
shift 2

mkdir -p /dev/pts /dev/shm /var/tmp /tmp /run
mount -t devpts devpts /dev/pts
ln -sfn /proc/self/fd /dev/fd
ln -sfn fd/0 /dev/stdin
ln -sfn fd/1 /dev/stdout
ln -sfn fd/2 /dev/stderr
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mkdir -p /run/lock
mkdir -p /lib/modules
mount --bind "$kernel/lib/modules" /lib/modules
# A disk as tests want it: ext4, O_DIRECT.
mkdir /run/host
mount --bind / /run/host
mount -o discard /dev/vda /var/tmp
mkdir /var/tmp/tmp
mount --bind /var/tmp/tmp /tmp
chmod 1777 /dev/shm /var/tmp /tmp /run/lock
for dir in "$@" "$vm"; do
	[ -d "$dir" ] || { mkdir -p "$dir" && mount --bind "/run/host$dir" "$dir"; }
done
umount /run/host
mount -t tmpfs cgroup /sys/fs/cgroup
mkdir /sys/fs/cgroup/{unified,freezer}
mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
mount -t cgroup -o freezer cgroup /sys/fs/cgroup/freezer
ip link set lo up
hostname decant-vm
ulimit -n 20000
for module in loop tun veth xfs btrfs unix_diag tcp_diag udp_diag inet_diag packet_diag \
	netlink_diag af_packet_diag; do
	modprobe -q "$module"
done

stty -F /dev/ttyS1 raw -echo
# The job is no child that process 1 has to wait for only: orphans come to it, too.
setsid bash "$vm/job" </dev/null >/dev/ttyS1 2>&1 &
job=$!
while :; do
	wait -n -p ended
	status=$?
	[ "${ended-}" != "$job" ] || break
done
dmesg --level=emerg,alert,crit,err | sed 's/^/kernel: /' >/dev/ttyS1
echo "check-vm: the job ended with $status" >/dev/ttyS1
stty -F /dev/ttyS1 -raw 2>/dev/null
sync
echo o >/proc/sysrq-trigger
sleep 60
