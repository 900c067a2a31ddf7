/* SPDX-License-Identifier: MIT */
#include "engine_open.h"

#include <errno.h>

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
