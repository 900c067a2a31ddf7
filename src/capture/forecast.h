/* SPDX-License-Identifier: MIT */
/*
 * What a capture would take, from what is known beforehand; and the choice.
 * Pure.  The numbers behind it are of one machine (docs/benchmarks.md): right
 * to a factor of two or so.
 */
#ifndef CAPTURE_FORECAST_H
#define CAPTURE_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

#include "decant.h"

struct forecast_facts {
	uint64_t private_bytes;      /* there; tracking or a shadow covers it */
	uint64_t huge_bytes;         /* of it, by huge pages */
	uint64_t stopped_bytes[2];   /* with tracking, with a shadow */
	const char *stopped_why[2];  /* NULL: none */
	uint64_t dirty_bytes_per_s;  /* UINT64_MAX: not known */
	unsigned threads, mappings;
	const char *no_track, *no_fork; /* why not; NULL: possible */
	uint64_t pause_max_ns;
	bool fork_shows;             /* a shadow may be seen as a child (init of a pid ns) */
	bool stream;
	bool frozen;                 /* it does not run: a stop of any length is none */
};

/* Fills ret->forecasts and ret->strategy. */
void forecast_make(const struct forecast_facts *f, struct decant_capture_plan *ret);
const char *forecast_name(uint32_t strategy);

#endif
