/* SPDX-License-Identifier: MIT */
/*
 * The threads that are traced, and their registers.  Not what is done to them:
 * trace.c and trace_call.c.
 */
#ifndef POLICY_TRACEE_H
#define POLICY_TRACEE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "policy/decide.h"

enum tracee_phase {
	TRACEE_IDLE = 0,
	TRACEE_NATIVE,     /* the kernel does the call as it is; its result is wanted */
	TRACEE_REWRITTEN,  /* it does pwritev2 or preadv2 instead */
	TRACEE_WAITING,    /* it does poll() instead, until there is room */
};

struct tracee {
	struct tracee *next;     /* in its bucket */
	pid_t tid, tgid;         /* tgid 0: not asked yet */
	int pidfd;               /* of the thread; -1: not opened yet */
	uint8_t phase;           /* enum tracee_phase */
	bool is_32bit;           /* the ABI of the call */
	bool plain_read;         /* redo it without RWF_NOWAIT (see call_read_again) */

	/* Of the call that it is in: */
	struct user_regs_struct regs;  /* as they were when it was made */
	struct policy_event event;
	struct policy_verdict verdict;
	int fd;                  /* of the pipe, or the first one */
	int blind;               /* negative errno: the descriptors could not be looked at */
	uint64_t ino, in_ino;    /* of pipes */
	uint64_t asked_bytes;
	uint64_t ns;             /* that the supervisor worked on it */
	uint64_t wait_addr, wait_saved; /* what poll()'s argument lies on */
};

#define TRACEES_BUCKETS 512

struct tracees {
	struct tracee *bucket[TRACEES_BUCKETS];
};

/* NULL: no memory. */
struct tracee *tracee_get(struct tracees *ts, pid_t tid);
void tracee_remove(struct tracees *ts, pid_t tid);
void tracees_deinit(struct tracees *ts);
pid_t tracee_tgid(struct tracee *t);
/* The CPU that it ran on; -1: not known. */
int tracee_cpu(const struct tracee *t);
/* -1: cannot be had. */
int tracee_pidfd(struct tracees *ts, struct tracee *t);
void tracee_close(struct tracee *t);

/* 0 or a negative errno (-ESRCH: it was killed). */
int tracee_load(struct tracee *t);
/* Which call t->regs are about, and t->is_32bit; false: none of ours. */
bool tracee_call(struct tracee *t, enum policy_call *ret_call, uint64_t ret_args[6]);
/* The call is seccomp(2), which the filter catches where it makes a listener. */
bool tracee_listens(const struct tracee *t);
/* At the end of a call: what the kernel returns. */
int tracee_result(const struct tracee *t, int64_t *ret);
int tracee_store(const struct tracee *t, const struct user_regs_struct *regs);
/* Whole length or a negative errno. */
int tracee_read(pid_t tid, uint64_t addr, void *buf, size_t len);
/*
 * An exec by another thread of the process takes the number of its first one,
 * which we may be about to act on: then the image that has it is another, with
 * more rights maybe.  What goes by ptrace does not reach it (-ESRCH, since Linux
 * 5.13) before we have waited for it; what goes by the number alone does.
 */
int tracee_poke(const struct tracee *t, uint64_t addr, uint64_t value);
/* What was read by the number so far was the thread's own. */
bool tracee_stands(const struct tracee *t);

/*
 * Registers for another call in place of the one in t->regs; args: six of
 * them.  The restored ones are t->regs with another rax.
 */
enum tracee_nr { TRACEE_PWRITEV2, TRACEE_PREADV2, TRACEE_POLL, TRACEE_NONE };
void tracee_rewrite(const struct tracee *t, enum tracee_nr nr, const uint64_t args[6],
		    struct user_regs_struct *ret);

#endif
