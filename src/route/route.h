/* SPDX-License-Identifier: MIT */
/*
 * A route: one way in which the kernel can move the bytes.  One file and one
 * entry in table.c each; docs/adding-a-route.md tells how to add one.
 * Not a policy: which route is taken is plan/plan.c's business.
 */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "caps/caps.h"
#include "decant.h"
#include "end/end.h"
#include "engine/job.h"

#define ROUTE_KIND(k) (1u << (k))
#define ROUTE_ANY 0xffffffffu

/* What is asked for; both ends are learned.  fits() makes no system calls. */
struct query {
	const struct end *from, *to;
	uint64_t len;         /* bytes or DECANT_TO_END (then from->size counts) */
	uint64_t expect;      /* best guess of the bytes; DECANT_TO_END: no idea */
	uint32_t flags;
	uint32_t guarantee;   /* what was asked for */
	uint32_t checksum;
	uint32_t until;       /* enum decant_until; for the words only */
	uint32_t cold_permille; /* of the source's bytes not in the page cache; 0: hot */
	uint64_t exclude; /* bits of route_table: start() found out that they do not work here */
	struct caps *caps;
	bool uring;           /* the engine's backend is io_uring */
	bool map_warm;        /* the source was sent lately: its mapping is kept, or will pay */
};

/* The answer: what this route would give here. */
struct fit {
	uint32_t guarantee;   /* preset from the route; fits() may raise it to STABLE */
	uint32_t copies;      /* preset; fits() may correct */
	bool quiet;           /* nobody reads the texts: do not spend time on them */
	bool atomic;          /* fits() may set: all bytes are of one instant (a clone) */
	char why_not[ERR_TEXT_MAX]; /* set by route_refuse() when it does not fit */
	char note[200];       /* set by route_note(): what the user should know */
};

struct route {
	struct job_ops ops;          /* ops.name is the route's name */
	uint32_t from_kinds, to_kinds; /* ROUTE_KIND masks; checked before fits() */
	const enum fact *needs;      /* facts, ended by FACT_NONE; checked before fits() */
	uint32_t copies;             /* CPU copies on this side */
	uint32_t guarantee;
	const char *snapshotted;     /* when SNAPSHOTTED comes, for explain */
	bool user_space;             /* bytes pass through our memory: checksums possible */
	bool maps;                   /* by job_map(): cheaper where the mapping is kept */
	bool inline_small;           /* a small transfer to a socket or pipe never blocks */
	bool past_cache;             /* honours DECANT_DIRECT */
	/* May be NULL: fits when kinds and needs do.  Never sets guarantee lower. */
	bool (*fits)(const struct query *q, struct fit *fit);
};

/* All routes in the planner's order of preference at equal cost. */
extern const struct route *const route_table[];
extern const unsigned route_table_n;
/* The first entry of that name; entries for other pairs of ends may follow. */
const struct route *route_by_name(const char *name);
/* The entry is for this pair of ends: what a forced name must be asked. */
bool route_takes(const struct route *r, enum decant_end_kind from, enum decant_end_kind to);

/*
 * For fits(): set why_not and return false; set the note and return true.
 * Where fit->quiet is set they write nothing: a small transfer is planned in
 * less time than one sentence takes.
 */
bool route_refuse(struct fit *fit, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool route_note(struct fit *fit, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
