/* SPDX-License-Identifier: MIT */
/*
 * Do something to a process by system calls of its own, in a stop; and let the
 * tool that does it die at each of its steps.
 * Not a capture: those are taken by take.h.
 */
#ifndef LIB_REMOTE_H
#define LIB_REMOTE_H

#include "lib/stopper.h"
#include "lib/victims.h"
#include "process/call.h"
#include "process/shadow.h"

struct remote {
	struct stopper k;
	struct maps maps;
	struct gadgets gadgets;
	enum call_method method;
	/* In the tracer, in a stop, with a call open; its result is that of remote_once(). */
	int (*act)(struct remote *r, struct call *c);
	void *arg;
	struct shadow shadow;
	struct err err;
	uint64_t open_ns, act_ns; /* how long it took, the last time */
};

/* Dies where the target cannot be opened. */
void remote_open(struct remote *r, pid_t pid, int (*act)(struct remote *, struct call *));
/* One stop; a late one is tried again. */
int remote_once(struct remote *r);
/* Kill and reap the shadow. */
void remote_end_shadow(struct remote *r);
void remote_close(struct remote *r);

/* Acts: calls that change nothing; these and mmap and munmap; a shadow. */
int remote_act_asks(struct remote *r, struct call *c);
int remote_act_calls(struct remote *r, struct call *c);
int remote_act_shadow(struct remote *r, struct call *c);

struct sweep {
	struct victim *v;
	int (*act)(struct remote *, struct call *);
	enum call_method method;
	unsigned first, step;    /* die at these: first, first + step, ... */
	bool quick;              /* few looks at the victim after each */
	bool errors;             /* do not die: let each step fail */
	/* Results. */
	bool whole;              /* it came to a run without a death */
	unsigned steps;          /* of that */
	unsigned last;           /* died there, last */
	unsigned deaths, harmed; /* added up */
	unsigned killed;         /* of those */
	char what[300];          /* the first harm */
};

/*
 * Until a run has no death (or fault), or the victim is not what it was.  No
 * points are made here.
 */
void remote_sweep(struct sweep *s);

#endif
