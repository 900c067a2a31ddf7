/* SPDX-License-Identifier: MIT */
/*
 * Which threads of a stop are at work, so that these stand still for the
 * shortest time.  Not exact: it is a look at the last few milliseconds.
 */
#ifndef PROCESS_STOP_RANK_H
#define PROCESS_STOP_RANK_H

#include "process/stop.h"

/* Sets busy of all threads; takes some milliseconds, outside of a stop.  -ENOMEM. */
int stop_rank(struct stop *s);

#endif
