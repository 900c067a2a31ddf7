/* SPDX-License-Identifier: MIT */
/*
 * Which thread has room below its stack pointer that nobody else uses: the
 * rules for where a signal frame may be put.  Not the frame itself (arch.h).
 *
 * Memory below a stack pointer belongs to the thread only if it is known to be
 * a stack as far down as the frame reaches: a coroutine's may end, unguarded,
 * in the middle of the heap.
 */
#ifndef PROCESS_STACK_H
#define PROCESS_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/maps.h"
#include "process/stop.h"

/* A stack that only its mapping speaks for, with no guard, must go on so far below sp. */
#define STACK_ROOM_BYTES ((uint64_t)64 << 10)

struct stack_facts {
	uint64_t sp, tls;
	uint64_t need_low;       /* the frame's lowest address */
	long syscall;            /* that it stands in, or -1 */
	bool leader;
	const struct vma *vma;   /* that holds sp, or NULL */
	bool guarded;            /* right below it is one without access */
	uint64_t known_low;      /* where its stack is known to begin (Go, sigaltstack), or 0 */
};

/* Best first. */
enum stack_rank {
	STACK_MAIN,              /* the leader, on the stack that the kernel made */
	STACK_THREAD,            /* in a system call, its thread block above in the same mapping */
	STACK_BUSY,              /* as these, running, or in a call that is better left alone */
	STACK_KNOWN,             /* bounds are known */
	STACK_NONE,
};

/* Pure.  *why (may be NULL): the reason for STACK_NONE. */
enum stack_rank stack_judge(const struct stack_facts *f, const char **why);

/* A walk over the threads of a stop, best first; zeroed but for the first three. */
struct stack_walk {
	const struct stop *stop;
	const struct maps *maps;
	size_t frame_len;
	enum stack_rank rank;    /* of the thread that was returned last */
	size_t next;
	const char *why;         /* no good: the reason for the first that was not */
};

/* The next thread that may be used, or NULL. */
struct stop_thread *stack_next(struct stack_walk *w);

#endif
