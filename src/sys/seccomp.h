/* SPDX-License-Identifier: MIT */
/*
 * System calls about seccomp filters and their listeners: wrappers as in sys.h.
 * Not the filters: those are made in policy/filter.c.
 */
#ifndef SYS_SECCOMP_H
#define SYS_SECCOMP_H

#include <linux/seccomp.h>
#include <stdint.h>

/* Linux 6.6: the supervisor and the caller hand the CPU to each other. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* op: SECCOMP_SET_MODE_FILTER, ...; a listener's descriptor where one was asked for. */
int sys_seccomp(unsigned op, unsigned flags, void *arg);
/* EINTR: return.  -ENOENT: the caller has gone meanwhile. */
int sys_notif_recv(int listener, struct seccomp_notif *ret);
int sys_notif_send(int listener, struct seccomp_notif_resp *resp);
/* 0: the call of that id still waits; -ENOENT: it does not. */
int sys_notif_id_valid(int listener, uint64_t id);
int sys_notif_set_flags(int listener, uint64_t flags);

#endif
