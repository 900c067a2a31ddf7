/* SPDX-License-Identifier: MIT */
/* The watcher's own side.  Not for those who ask it: keeper.h. */
#ifndef CLI_KEEPER_SERVE_H
#define CLI_KEEPER_SERVE_H

#include <stdbool.h>

#include "keeper.h"

/* Is the other side of the same user, or root? */
bool keeper_is_ours(int fd);
/*
 * Begin to track, tell first_fd, answer there until it is closed, then to all
 * who connect to listen_fd.
 */
__attribute__((noreturn)) void keeper_serve(const struct predump_options *o, int listen_fd,
					    int first_fd);

#endif
