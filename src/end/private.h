/* SPDX-License-Identifier: MIT */
/*
 * What the files of end/ share with each other.
 * Not for anybody else.
 */
#ifndef END_PRIVATE_H
#define END_PRIVATE_H

#include "end/end.h"

/* "source" or "sink". */
const char *end_side_noun(const struct end *e);

/* Open the memory of the end's process as a file: e->mem_fd. */
int end_open_mem_fd(struct end *e);

/*
 * Copy between memory that we must not touch: the caller's may be a mapping of
 * a file that shrank, where memcpy() would end in SIGBUS, and another process'
 * is not ours.  The kernel says -EFAULT instead, after what it could copy.
 */
int64_t end_copy(struct end *e, void *to, uint64_t from, uint64_t len);

/* What is left of a memory end at pos, at most len. */
uint64_t end_memory_left(const struct end *e, uint64_t pos, uint64_t len);

#endif
