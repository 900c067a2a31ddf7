/* SPDX-License-Identifier: MIT */
#include "engine_open.h"

#include <errno.h>
#include <stdlib.h>

int engine_open(struct decant **ret, const struct copy_options *o, struct err *reterr)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	int r;

	options.backend = o->backend;
	options.workers = o->workers;
	options.mask = o->mask;
	r = decant_open(ret, &options);
	/* Without an engine the library says it of the call that failed last. */
	return r < 0 ? err_set(reterr, r, "%s", decant_strerror(NULL)) : 0;
}

const char *engine_advice(struct decant *d, const struct decant_transfer *t)
{
	struct decant_transfer live = *t;
	struct decant_plan *plan = calloc(1, sizeof(*plan));
	int r = -ENOMEM;

	live.guarantee = DECANT_LIVE;
	if (plan) {
		plan->size = sizeof(*plan);
		r = decant_plan(d, &live, plan);
	}
	free(plan);
	return r == 0 ? "--live allows it, if nobody writes to the source until the end" : NULL;
}
