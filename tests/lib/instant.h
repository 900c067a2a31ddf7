/* SPDX-License-Identifier: MIT */
/*
 * A shadow, and what was seen of the target's memory in the stop that it was
 * made in.  Not what compares them: those are tests.
 */
#ifndef LIB_INSTANT_H
#define LIB_INSTANT_H

#include <stddef.h>

#include "lib/remote.h"
#include "process/ranges.h"

struct instant {
	struct range *v;
	size_t n;
	unsigned char *bytes;    /* back to back */
	size_t len;
	bool reaps;              /* what the call said */
};

/* remote_open(), so that each remote_once() fills the instant in r->arg and makes a shadow. */
void instant_open(struct remote *r, pid_t pid);
/* Back to that, or to remote.h's own look, after acts of another kind. */
void instant_on(struct remote *r, struct instant *c);
void instant_off(struct remote *r, int (*act)(struct remote *, struct call *));
void instant_free(struct instant *c);

#endif
