/* SPDX-License-Identifier: MIT */
/*
 * How a copy ended: gathered from its events, told to people or as JSON.
 * Not the events themselves, which are told while they happen (events.c).
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "copy_options.h"
#include "decant.h"

struct report {
	int status;            /* what the command returns */
	int error;             /* 0, or a negative errno */
	char message[256];     /* "what: why" */
	bool submitted;        /* the library had accepted the transfer */
	uint64_t promised;     /* bytes, or DECANT_TO_END */
	uint32_t guarantee;    /* enum decant_guarantee */
	uint64_t start_ns, snapshotted_ns, delivered_ns, ended_ns; /* 0: did not come */
	uint32_t snapshotted_flags, delivered_flags;
	struct decant_event end; /* DECANT_ENDED; zeroes before */
	char *partial;         /* what was kept, or NULL; owned */
	const char *listening; /* where we listened, or NULL */
	const char *hint;      /* what can be done, where the error does not tell; or NULL */
};

void report_event(struct report *r, const struct decant_event *event);

/* Remember the first failure: a sentence, and the status that goes with it. */
void report_fail(struct report *r, int error, const char *message);

/* The object of --json, in one line. */
void report_json(FILE *f, const struct report *r, const struct copy_options *o);
/* The error, how far it came, and what can be done; nothing after success. */
void report_failure(const struct report *r);
/* Three lines for --verbose. */
void report_summary(FILE *f, const struct report *r);

#endif
