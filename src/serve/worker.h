/* SPDX-License-Identifier: MIT */
/* One worker's loop, from its beginning to its end.  Not the sockets: server.c. */
#ifndef SERVE_WORKER_H
#define SERVE_WORKER_H

#include "serve/server.h"

/* Until the server is stopped; wake_fd becomes readable then. */
int worker_run(struct decant_server *s, uint32_t number, int wake_fd, struct err *reterr);

#endif
