/* SPDX-License-Identifier: MIT */
/*
 * Is the sink a part of the source?  Not a lock: the ends may also be the same
 * bytes by ways that nobody can see (loop devices, network file systems).
 */
#ifndef ROUTE_OVERLAP_H
#define ROUTE_OVERLAP_H

#include "route/route.h"

/* Refuses a file that would be copied over itself. */
bool overlap_fits(const struct query *q, struct fit *fit);

#endif
