/* SPDX-License-Identifier: MIT */
/*
 * What a transfer costs by each route: a table of measured times.
 * Not a promise: numbers only choose between routes that all keep theirs.
 *
 * A row is for a route and a pair of ends, and holds the time of whole
 * transfers of four sizes, with everything in the page cache; between them we
 * draw straight lines, beyond the last one a straight line through 0.  So
 * there is no fixed part and part per call to be fitted to measurements; they
 * are in the table as they are.  Rows are compared only within one pair, which
 * may therefore be measured on a day of its own.
 */
#ifndef PLAN_COST_H
#define PLAN_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "decant.h"
#include "end/end.h"
#include "route/route.h"

#define COST_SIZES 4
#define COST_NS_MAX 4000000000u   /* per number; nothing that is used is as slow */
#define COST_FILE_MAX_BYTES (256u << 10)
#define COST_LINE_MAX_BYTES 256
#define COST_PATH_MAX 512

enum cost_from {
	COST_FROM_FILE,
	COST_FROM_PIPE,
	COST_FROM_SOCKET,
	COST_FROM_MEMORY,
	COST_FROM_PROCESS,
	COST_FROM_OTHER,
	COST_FROM_MAX
};

enum cost_to {
	COST_TO_TCP,       /* the peer is elsewhere: a network card takes the pages */
	COST_TO_TCP_LOCAL, /* loopback: the kernel copies to the reader */
	COST_TO_UNIX,
	COST_TO_PIPE,
	COST_TO_FILE,
	COST_TO_MEMORY,
	COST_TO_NULL,
	COST_TO_OTHER,
	COST_TO_MAX
};

struct cost {
	uint32_t ns[COST_SIZES];     /* of transfers of cost_sizes[] */
	uint32_t cpu_ns[COST_SIZES]; /* of them on our CPUs */
	uint32_t cold_ns;            /* per MiB that comes from the disk; 0: as hot */
	uint32_t cold_cpu_ns;
};

/* 4 KiB, 64 KiB, 1 MiB, 16 MiB */
extern const uint64_t cost_sizes[COST_SIZES];

struct cost_table {
	const struct route *const *routes;
	unsigned routes_n;           /* at most DECANT_ROUTES_MAX */
	struct cost row[DECANT_ROUTES_MAX][COST_FROM_MAX][COST_TO_MAX];
};

/* A row of the shipped defaults. */
struct cost_default {
	const char *route;
	enum cost_from from;
	enum cost_to to;
	struct cost cost;
};
extern const struct cost_default cost_defaults[];
extern const unsigned cost_defaults_n;

/* One transfer of len bytes. */
struct cost_estimate {
	uint64_t ns, cpu_ns;
	uint64_t score;              /* what the planner compares: less is better */
};

/* Shipped defaults for these routes, which must outlive the table. */
void cost_init(struct cost_table *t, const struct route *const *routes, unsigned routes_n);

enum cost_from cost_from_end(const struct end *e);
enum cost_to cost_to_end(const struct end *e);
/* "file", "tcp-local", ... as in the file. */
const char *cost_from_name(enum cost_from from);
const char *cost_to_name(enum cost_to to);

void cost_estimate(const struct cost_table *t, unsigned route, enum cost_from from,
		   enum cost_to to, uint64_t len, uint32_t cold_permille,
		   struct cost_estimate *ret);

/*
 * Rows are of files whose mapping was kept.  The first time that a file is
 * mapped its pages are entered into our page tables, 64 KiB a fault, and
 * taken out again: more than a copy out of the second-level cache costs.
 */
#define COST_FRESH_MAP_NS_KIB 50
void cost_add_fresh_map(struct cost_estimate *c, uint64_t len);
/*
 * Rows end when the page cache has it all.  What is to be durable must then be
 * written from there, which what went past it has behind it: the time of a
 * disk of 3 GB/s, for who has a slower one gains more.
 */
#define COST_WRITE_BACK_NS_KIB 340
void cost_add_write_back(struct cost_estimate *c, uint64_t len);

/* Replace a route's row, for all entries of that name.  False: no such route. */
bool cost_set(struct cost_table *t, const char *route, enum cost_from from, enum cost_to to,
	      const struct cost *cost);

/*
 * The text of a cost file into the table, which is not touched after an error:
 * -EINVAL with the line's number and what is wrong there.  Lines of routes that
 * we do not have are left out; *ret_note (may be NULL) says so, or is empty.
 */
int cost_parse(struct cost_table *t, const char *text, size_t len_bytes, struct err *ret_note,
	       struct err *reterr);
/* The text of the whole table. */
void cost_format(const struct cost_table *t, struct buf *ret);

/* $XDG_CACHE_HOME/decant/cost or ~/.cache/decant/cost; -ENOENT: neither is set. */
int cost_path(char ret[COST_PATH_MAX], struct err *reterr);
/* -ENOENT: there is none, nothing was changed.  -EINVAL: see cost_parse(). */
int cost_load(struct cost_table *t, const char *path, struct err *ret_note, struct err *reterr);
/* Whole or not at all (temporary file and rename); makes missing directories. */
int cost_save(const struct cost_table *t, const char *path, struct err *reterr);

#endif
