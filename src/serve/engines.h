/* SPDX-License-Identifier: MIT */
/*
 * A worker's engines, one for each disk: a disk that does not answer holds up
 * the threads of its own only.  Not for what is in memory: that needs no thread.
 */
#ifndef SERVE_ENGINES_H
#define SERVE_ENGINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct decant;
struct engines;

/* epoll_fd is to tell of each of them; mask: as in decant_options. */
int engines_create(struct engines **ret, int epoll_fd, const char *mask, struct err *reterr);
/* Whatever they have under way is cut off. */
void engines_destroy(struct engines *e);
/* That of a device; where there are too many, or no more can be had, another's. */
struct decant *engines_of(struct engines *e, uint64_t dev);
/* Whom epoll's data.ptr means; NULL: none of them. */
struct decant *engines_told(const struct engines *e, const void *ptr);

#endif
