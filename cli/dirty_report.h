/* SPDX-License-Identifier: MIT */
/*
 * What `dirty` saw, told to people (lines, or a table that is drawn again) and
 * as JSON.  Not the looking (cmd_dirty.c), not the picture (heat_svg.h).
 */
#ifndef CLI_DIRTY_REPORT_H
#define CLI_DIRTY_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "decant.h"
#include "dirty_options.h"

struct dirty_result {
	int status;              /* what the command returns */
	int error;               /* 0, or a negative errno */
	char message[256];       /* "what: why" */
	char name[32];           /* of the process */
	struct decant_dirty_report report;
	unsigned intervals;
	uint64_t time_ns;        /* looked at */
	uint64_t pages;          /* sum of all intervals */
	uint64_t seen_pages;     /* each once; UINT64_MAX: not known */
	bool ended;              /* the process, before we did */
	char end[128];           /* how */
	bool has_plan;
	struct decant_dirty_plan plan;
	unsigned drawn;          /* lines of the table that is on the screen */
};

/* Remember the first failure. */
void dirty_result_fail(struct dirty_result *r, int error, const char *message);

/* One interval: appended to ret, for it is written out in one go. */
void dirty_json_interval(struct buf *ret, const struct decant_dirty_interval *i, bool ranges);
void dirty_print_interval(struct buf *ret, const struct decant_dirty_interval *i);
/* The table, over the one before; rows, columns: of the terminal. */
void dirty_draw(struct buf *ret, struct dirty_result *r, const struct decant_dirty_interval *i,
		const struct dirty_options *o, unsigned rows, unsigned columns);

/* The end of it. */
void dirty_json_result(struct buf *ret, const struct dirty_result *r,
		       const struct dirty_options *o);
void dirty_print_result(const struct dirty_result *r, const struct dirty_options *o);
void dirty_report_failure(const struct dirty_result *r);

#endif
