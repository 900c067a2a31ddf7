/* SPDX-License-Identifier: MIT */
/*
 * The page server of `predump --to`: its options, and connecting to it.  Not
 * what is said there: that is the library's.
 */
#ifndef CLI_PREDUMP_TO_H
#define CLI_PREDUMP_TO_H

#include "base/err.h"
#include "decant.h"
#include "end_spec.h"
#include "predump_options.h"
#include "wait.h"

struct predump_to {
	const struct predump_options *o;
	struct end_spec spec;
	struct waiter w;         /* for connecting: no signals, they are the main thread's */
	struct err err;          /* of the last connection that failed */
	struct decant_remote *remote;
};

/* Of the options alone: can it be?  Pure, but for what an address is to this machine. */
int predump_to_check(const struct predump_options *o, struct err *reterr);
/* to stays where it is until predump_to_close(). */
int predump_to_open(struct predump_to *to, struct decant *d, const struct predump_options *o,
		    struct err *reterr);
void predump_to_close(struct predump_to *to);

#endif
