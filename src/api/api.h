/* SPDX-License-Identifier: MIT */
/*
 * What is behind struct decant: an engine, the facts, the costs, and the
 * sentence of the last failure.  Not a layer of its own: only glue.
 */
#ifndef API_API_H
#define API_API_H

#include "base/err.h"
#include "caps/caps.h"
#include "engine/engine.h"
#include "plan/cost.h"
#include "plan/plan.h"

struct decant {
	struct engine *engine;
	struct caps *caps;
	struct cost_table costs;
	struct err err;
};

/* A transfer that was checked: both ends and the promised length are known. */
struct api_request {
	struct end from, to;
	uint64_t len;
	bool len_exact;
	struct query query;
	const struct route *route;
	uint32_t guarantee, copies;
};

/*
 * Check t and choose its route.  ret_plan may be NULL: then no texts are made.
 * Nothing is opened and nothing needs to be undone.
 */
int api_prepare(struct decant *d, const struct decant_transfer *t, struct api_request *ret,
		struct decant_plan *ret_plan, struct err *reterr);

/* For the engine: another route than those that were tried. */
int api_replan(void *arg, struct job *j);

#endif
