/* SPDX-License-Identifier: MIT */
/*
 * What a victim says of itself, in memory that it shares with the test.
 * Not a protocol: the victim writes, the test reads whenever it likes.
 *
 * It is shared memory also so that a copy of the victim that ran by mistake (a
 * shadow let loose) would be seen: it writes here too.
 */
#ifndef VICTIMS_REPORT_H
#define VICTIMS_REPORT_H

#include <stdint.h>

#define REPORT_MAGIC 0x6d69746369767464ULL
#define REPORT_ADDR 0x200000000000ULL /* in the victim */
#define REPORT_BYTES 4096
#define REPORT_GAPS 120
#define REPORT_GAP_NS 300000     /* shorter ones are not listed */

/* One time without an iteration of a writer. */
struct report_gap {
	uint64_t begin_ns;        /* CLOCK_MONOTONIC */
	uint64_t length_ns;
	uint64_t waited_ns;       /* of it or shortly before, ready to run and waiting for a CPU */
};

struct report {
	uint64_t magic;
	int32_t host_pid;         /* of the victim, where that is not the child of the test */
	uint32_t ready;
	uint64_t rounds;          /* grows as long as the victim is well */
	uint64_t errors;          /* what must never be */
	uint64_t eintr;           /* of them none counts: EINTR in a call that nobody interrupted */
	uint64_t foreign;         /* rounds run by a process that is not the victim */
	uint64_t late_max_ns;     /* how much too late a call with a time-out came back */
	uint64_t gap_max_ns;      /* longest time between two iterations of a writer */
	uint64_t churn_gap_max_ns;/* and of the thread that maps and unmaps */
	uint64_t reset_gaps;      /* set by the test: start anew */
	uint64_t child;           /* a process that the victim has started, 0: none */
	char what[160];           /* the first error */
	uint64_t ask, answered;   /* steps: the test wants so many, so many are done */
	uint64_t gaps_n;          /* also those for which there was no room */
	struct report_gap gaps[REPORT_GAPS];
};
_Static_assert(sizeof(struct report) <= REPORT_BYTES, "one page");

#endif
