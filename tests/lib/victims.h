/* SPDX-License-Identifier: MIT */
/*
 * Start a program of tests/victims/, and see whether anything was done to it.
 * Not what takes the cores: see take.h.
 */
#ifndef LIB_VICTIMS_H
#define LIB_VICTIMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "victims/report.h"

/* What a victim does by itself, so that it is no harm. */
enum victim_habit {
	VICTIM_MAPS = 1 << 0,     /* its mappings change */
	VICTIM_THREADS = 1 << 1,  /* its threads do */
	VICTIM_FAMILY = 1 << 2,   /* it has children */
	VICTIM_SIGMASK = 1 << 3,  /* its signal mask changes */
	VICTIM_STILL = 1 << 4,    /* makes no rounds */
	VICTIM_STOPPED = 1 << 5,  /* was stopped by a signal, and must remain so */
	VICTIM_FDS = 1 << 6,      /* its descriptors change */
};

struct victim {
	pid_t child;              /* of ours; the victim itself but for --as-init */
	pid_t pid;
	volatile struct report *report;
	char name[16];
	unsigned habits;
	char *maps, *fds, *signals; /* as they were */
	uint64_t rounds;          /* at the last look */
};

/* "counter --mib 16": split at blanks.  Waits until it is ready, or dies. */
void victim_begin(struct victim *v, unsigned habits, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * Alive, running, untraced, with its mappings, descriptors, children and
 * signals as before, and content with itself?  NULL, or what is not (static).
 * Waits a little for what needs time: a tracer that dies, a round.
 */
const char *victim_harm(struct victim *v);
/* As few looks as a kill sweep needs between two deaths. */
const char *victim_harm_quick(struct victim *v);
/* Has it ended?  Its wait status then. */
bool victim_ended(struct victim *v, int *ret_status);
void victim_end(struct victim *v);
/* Bytes of huge pages that it has. */
uint64_t victim_huge_bytes(const struct victim *v);
/* Longest gaps from now on. */
void victim_reset_gaps(struct victim *v);

#endif
