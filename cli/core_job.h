/* SPDX-License-Identifier: MIT */
/*
 * A capture on a thread of its own, so that neither signals nor the bar depend
 * on what it waits for.  Not the capture itself: the library's.
 */
#ifndef CLI_CORE_JOB_H
#define CLI_CORE_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "decant.h"
#include "progress.h"
#include "wait.h"

struct core_job {
	struct decant *engine;
	struct decant_target *target;
	struct decant_capture_options options; /* progress is ours */
	struct decant_image_sink sink;
	struct decant_capture_report *report;
	/* NULL: decant_capture(); with options.progress and the job as its arg. */
	int (*run)(struct core_job *job);

	int done_fd;              /* readable when it has ended */
	int result;
	atomic_bool cancel;
	atomic_uint_least64_t bytes, expected_bytes;
};

/*
 * Capture; the result of decant_capture().  A signal cancels it.  When it does
 * not end soon after that, or when a second signal comes: -EINTR, it goes on
 * and the process is to be left at once, which does no harm to the target.
 */
int core_job_run(struct core_job *job, struct waiter *w, int progress_fd, struct err *reterr);

#endif
