/* SPDX-License-Identifier: MIT */
/*
 * The workers of `serve` as processes: started, started again when they die,
 * and ended.  Not what a worker does: decant_serve_run().
 */
#ifndef CLI_SERVE_MASTER_H
#define CLI_SERVE_MASTER_H

#include <stdbool.h>
#include <stdint.h>

#include "decant.h"

struct serve_master {
	struct decant_server *server;
	uint32_t workers_n;
	uint32_t grace_ms;
	const char *log;     /* opened anew at SIGHUP; NULL: not */
	int log_fd;
	bool quiet;
};

/*
 * Until a signal ends it: the exit status.  Returns in the workers, too, with
 * theirs, and *ret_worker set.
 */
int serve_master_run(const struct serve_master *m, bool *ret_worker);

#endif
