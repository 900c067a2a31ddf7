/* SPDX-License-Identifier: MIT */
/*
 * Counts what a program did, per program and call site, and says it in words or
 * JSON.  Not a log: calls are added up, never kept.  Any thread may count.
 */
#ifndef POLICY_REPORT_H
#define POLICY_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "policy/decide.h"

struct report;
struct report_site; /* lives as long as the report */

/* The result is not known: the call was passed on to the kernel. */
#define REPORT_UNKNOWN INT64_MIN

/* Adds up; the shim has it in shared memory and adds with __atomic builtins. */
#define REPORT_ERRORS 4
struct report_counts {
	uint64_t calls;
	uint64_t asked_bytes;   /* sum of what was asked for */
	uint64_t bytes;         /* sum of results that are >= 0 */
	uint64_t unknown;       /* calls with REPORT_UNKNOWN */
	uint64_t failed;        /* calls with a negative result */
	uint64_t ns;            /* from when the call was seen until it was answered */
	uint32_t flags;         /* all flags that were ever set */
	uint32_t in_kinds;      /* bits 1 << enum policy_kind */
	uint32_t out_kinds;
	uint32_t findings;      /* bits 1 << enum policy_finding */
	uint32_t actions;       /* bits 1 << enum policy_action */
	int32_t finding_fd;     /* a descriptor for the sentences; -1: none */
	struct {
		int32_t error;  /* positive errno; 0: free */
		uint32_t n;
	} errors[REPORT_ERRORS]; /* the first kinds */
};

/* One call that has been made. */
struct report_call {
	pid_t tgid, tid;      /* as the supervisor sees them */
	enum policy_call call;
	uint64_t ip;          /* the instruction after the call */
	uint64_t sp;          /* stack pointer there, to find the caller of libc's wrapper; 0: no */
	bool is_32bit;
	int fd;               /* the descriptor that sentences name */
	uint32_t flags;
	uint64_t asked_bytes;
	int64_t result;       /* >= 0 bytes, negative errno, or REPORT_UNKNOWN */
	uint8_t in_kind, out_kind;
	struct policy_verdict verdict;
	uint32_t findings;    /* further ones than the verdict's */
	uint64_t ns;
};

/* line(): for people, as things happen (policy warn); may be NULL. */
int report_create(struct report **ret, const struct policy *p, bool counted,
		  void (*line)(void *arg, const char *text), void *arg);
void report_destroy(struct report *r);

/*
 * A program image began (exec, or the first); generation of its addresses.
 * report_call() makes it by itself for a tgid that it does not know.
 */
void report_exec(struct report *r, pid_t tgid);
/* A process has ended: what was learnt of its addresses is thrown away. */
void report_exit(struct report *r, pid_t tgid);
/*
 * The program must stand (stopped, or waiting for the answer): its memory is
 * read.  Its place, for report_finding(); NULL: no memory.
 */
struct report_site *report_call(struct report *r, const struct report_call *c);
/* A finding that shows later. */
void report_finding(struct report *r, struct report_site *site, enum policy_finding f, int fd);

/* What the shim counted: module is a path, offset in it; symbol may be "". */
void report_add(struct report *r, pid_t tgid, const char *exe, enum policy_call call,
		const char *module, uint64_t offset, const char *symbol,
		const struct report_counts *counts);

/* An image of exe was executed; report_exec() says so by itself. */
void report_image(struct report *r, const char *exe);

/* Where the view has a hole; loud: comes first in the text.  Each sentence once. */
void report_hole(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Something to know that is no hole ("no_new_privs was needed: ..."). */
void report_note(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Calls counted so far. */
uint64_t report_calls(struct report *r);

struct report_head {
	const char *mechanism;
	const char *why;        /* this mechanism */
	const char *command;    /* argv[0] */
	int status;             /* as of waitpid() */
	uint64_t elapsed_ns;
};
/* -ENOMEM. */
int report_text(struct report *r, const struct report_head *h, struct buf *ret);
int report_json(struct report *r, const struct report_head *h, struct buf *ret);

#endif
