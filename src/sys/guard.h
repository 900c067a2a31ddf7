/* SPDX-License-Identifier: MIT */
/*
 * What must be undone even when we are killed: a process that shares our memory
 * and outlives us by one write().  Not for what can take long, nor for more
 * than one thing.
 */
#ifndef SYS_GUARD_H
#define SYS_GUARD_H

#include <stddef.h>

struct sys_guard {
	int owner_fd;            /* pidfd of whom it waits for */
	int ready_fd, done_fd;   /* eventfds: it waits now; there is nothing to undo any more */
	int fd;                  /* where `text` goes when the owner has ended */
	const char *text;
	size_t len;
};

/* For sys_vm_process(): returns when it is done.  Makes no faults. */
int sys_guard(void *arg);

#endif
