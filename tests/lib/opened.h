/* SPDX-License-Identifier: MIT */
/*
 * Ends that are open for plain reads and writes, under facts that a test chooses.
 * Not how they are said or learned: see lib/said.h.
 */
#ifndef LIB_OPENED_H
#define LIB_OPENED_H

#include "caps/caps.h"
#include "end/end.h"

/* The facts for all of these; opened_mask() makes them anew. */
extern struct caps *opened_caps;
void opened_mask(const char *mask);

/* Initialized and open, or the test ends. */
struct end opened(struct decant_end said, enum end_side side);
struct end opened_fd(uint32_t kind, int fd, uint64_t offset, enum end_side side);
struct end opened_memory(void *addr, uint64_t len, enum end_side side);

/* Fill until it says EAGAIN, writes_max times at most; the bytes that went in. */
int64_t opened_fill_by(struct end *e, unsigned writes_max);
int64_t opened_fill(struct end *e);

#endif
