/* SPDX-License-Identifier: MIT */
/*
 * Make the Nth call of the wrappers in sys.h fail, so that tests can walk
 * through every error path.  Not in what is installed: without DECANT_FAULTS
 * the gates below compile to nothing.
 *
 * Each wrapper passes its name ("pread", "mmap", "malloc", ...) through one
 * gate.  All functions may be called from any thread; there is one armed
 * fault per process.
 *
 * Programs can be told by the environment, read at the first call:
 *	DECANT_FAULT=N[:name[:ERRNO|short|kill|stop]]	("*" or "": any name)
 */
#ifndef SYS_FAULT_H
#define SYS_FAULT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sys_fault_mode {
	SYS_FAULT_ERROR = 0, /* fails with `error`, or with one plausible for the call */
	SYS_FAULT_SHORT,     /* moves fewer bytes; counts only calls that can */
	SYS_FAULT_KILL,      /* SIGKILL to ourselves, before the call; in the tracer: to the
			      * process that it belongs to, and to itself */
	SYS_FAULT_STOP,      /* SIGSTOP to ourselves, before the call; it does not fail */
};

struct sys_fault_plan {
	enum sys_fault_mode mode;
	unsigned long nth;    /* 1: the next call; 0: none, only count */
	unsigned long repeat; /* calls that fail from then on; 0: as 1 */
	const char *name;     /* only this wrapper counts; NULL: all */
	int error;            /* positive errno; 0: a plausible one */
};

#ifdef DECANT_FAULTS

/* Replaces what was armed; counts from 0. */
void sys_fault_arm(const struct sys_fault_plan *plan);
void sys_fault_disarm(void);
/* Calls counted since arming (those that the plan's name and mode match). */
unsigned long sys_fault_calls(void);
/* Times that it fired since arming, also after disarming. */
unsigned long sys_fault_fired(void);
/* Name of the call that failed last, or NULL; static storage. */
const char *sys_fault_fired_name(void);

/*
 * For the wrappers.  sys_fault(): 0, or the negative errno to fail with.
 * sys_fault_len(): len, or fewer bytes but never 0 of a len that is not 0;
 * a multiple of 4096 or 512 where len is large enough, for O_DIRECT's sake.
 */
int sys_fault(const char *name);
size_t sys_fault_len(const char *name, size_t len);

/*
 * For wrappers whose fault is injected after the call: only SYS_FAULT_KILL and
 * _STOP fire here (and count here), so that one can die before such a call, too.
 */
void sys_fault_before(const char *name);

/*
 * For calls that complete elsewhere (a CQE, a worker's result): res, or the
 * negative errno to fail with.  Only results that are not errors count.  Call
 * it once per completion; for short counts put len through sys_fault_len()
 * when the request is made.  Names: "uring_read", "uring_send_zc", ...
 */
int sys_fault_result(const char *name, int res);
/* For a process that shares our memory: SYS_FAULT_KILL there kills pid too; 0: not. */
void sys_fault_die_with(pid_t pid);

#else

static inline int sys_fault(const char *name)
{
	(void)name;
	return 0;
}

static inline size_t sys_fault_len(const char *name, size_t len)
{
	(void)name;
	return len;
}

static inline void sys_fault_before(const char *name)
{
	(void)name;
}

static inline int sys_fault_result(const char *name, int res)
{
	(void)name;
	return res;
}

static inline void sys_fault_die_with(pid_t pid)
{
	(void)pid;
}

#endif
#endif
