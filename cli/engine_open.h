/* SPDX-License-Identifier: MIT */
/* An engine as the command line wants it.  Not the engine: the library's. */
#ifndef CLI_ENGINE_OPEN_H
#define CLI_ENGINE_OPEN_H

#include "base/err.h"
#include "copy_options.h"
#include "decant.h"

/* --backend, --workers, --mask.  0 or a negative errno with a sentence. */
int engine_open(struct decant **ret, const struct copy_options *o, struct err *reterr);

/* What can be done about -ENOTSUP; NULL: nothing but to ask for something else. */
const char *engine_advice(struct decant *d, const struct decant_transfer *t);

#endif
