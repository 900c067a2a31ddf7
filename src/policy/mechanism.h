/* SPDX-License-Identifier: MIT */
/*
 * How a policy is put upon a program: what a mechanism has to give, and what
 * the common skeleton (supervise.c) gives to it.
 * Not a choice between them: that is choose.c's.
 *
 * One run, in this order:
 *	parent	begin()  memory, sockets, environment; makes the filter if it needs one
 *	child	child()  after the fork, before the exec: the filter is put on here
 *	parent	run()    beside child() and exec, until nobody is left who is supervised
 *	parent	end()    in any case after begin(), whatever failed
 * All in one thread of its own, every signal blocked; the child gets the
 * caller's mask, SIGPIPE disposition and environment back before the exec.
 */
#ifndef POLICY_MECHANISM_H
#define POLICY_MECHANISM_H

#include <linux/filter.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "policy/decide.h"

struct report;

/* What is known of the program that is to be started, by its file. */
struct program {
	char path[4096];   /* found in $PATH; "" not found: exec will say so */
	bool elf, is_static, is_32bit;
	bool setuid;       /* or setgid, or with capabilities */
};

struct supervise {
	struct policy policy;
	bool counted;              /* a report is wanted: every call goes to it */
	bool dumper;               /* the program is one (CRIU): shim/dumper.c */
	const char *const *argv;
	const char **envp;         /* of the child; begin() may replace it by its own */
	struct program program;
	struct report *report;     /* never NULL; harmless where nothing is wanted */

	/* Set by the skeleton: */
	pid_t pid;                 /* the child; 0 before the fork */
	int pidfd;                 /* of it */
	int sync;                  /* a SOCK_SEQPACKET pair: parent's end / in child(): the child's;
				    * close-on-exec, so the end of file in the parent is the exec */
	bool nnp;                  /* no_new_privs had to be set (child() reports it) */
	struct sock_fprog filter;  /* begin(): by filter_make(); freed by the skeleton */
	int board;                 /* descriptor that the filter is marked with; -1: none */
	void *private;             /* the mechanism's */
};

/* How the program ended; status: as of waitpid(). */
struct ended {
	int status;
	bool supervisor_failed;    /* status is worth nothing: see the sentence */
};

struct mechanism {
	const char *name;
	/*
	 * 0: can do p for this program; else -ENOTSUP and why not.  Cheap, and
	 * changes nothing.
	 */
	int (*fits)(const struct policy *p, bool counted, const struct program *program,
		    struct err *reterr);
	int (*begin)(struct supervise *s, struct err *reterr);
	/*
	 * In the child: async-signal-safe calls only (src/sys wrappers are).
	 * 0, or a negative errno, which the skeleton tells the parent.
	 */
	int (*child)(struct supervise *s);
	/* Must reap s->pid (waitpid) and set *ret. */
	int (*run)(struct supervise *s, struct ended *ret, struct err *reterr);
	void (*end)(struct supervise *s);
};

extern const struct mechanism mechanism_none;    /* supervise.c: the filter alone, or nothing */
extern const struct mechanism mechanism_trace;   /* trace.c */
extern const struct mechanism mechanism_notify;  /* notify.c */
extern const struct mechanism mechanism_preload; /* preload.c: the parent's part of shim/ */

/*
 * Help for mechanisms.
 *
 * filter_make(): s->filter: catch (SECCOMP_RET_TRACE or SECCOMP_RET_USER_NOTIF)
 * what policy_filter() says is to be caught, answer what it says the filter can
 * answer, let all others be; for 64-bit and i386 calls.  With RET_TRACE the
 * filter's data (PTRACE_GETEVENTMSG) is the enum policy_call.
 * filter_install(): in the child; sets no_new_privs only where it must (and
 * s->nnp).  flags: SECCOMP_FILTER_FLAG_*; returns what seccomp(2) returns (a
 * listener's descriptor, or 0).
 */
int filter_make(struct supervise *s, uint32_t catch, struct err *reterr);
int filter_install(struct supervise *s, unsigned flags);

/*
 * Between the two, over s->sync.  In the child: child_tell() a number (a
 * descriptor's) to the parent, child_wait() until the parent lets it go on.
 * In the parent: child_hear() that number, child_go() lets it go on,
 * child_ran() waits until the exec is done: 0; or why it failed, as a negative
 * errno with a sentence.  Each blocks; -ECHILD: the child is gone.
 * A mechanism that may not block in child_ran() calls it after the exec.
 */
int child_tell(struct supervise *s, int number);
int child_wait(struct supervise *s);
int child_hear(struct supervise *s);
int child_go(struct supervise *s);
int child_ran(struct supervise *s, struct err *reterr);

#endif
