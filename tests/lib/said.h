/* SPDX-License-Identifier: MIT */
/*
 * Ends as a caller says them, by hand (the makers belong to another layer), and
 * what is learned of them.  Not the library's: that is end/end.h.
 */
#ifndef LIB_SAID_H
#define LIB_SAID_H

#include "end/end.h"

struct decant_end said_fd(uint32_t kind, int fd, uint64_t offset);
struct decant_end said_memory(void *addr, uint64_t len);
/* Initialized and learned, with these facts masked; must succeed. */
struct end said_learned(struct decant_end said, enum end_side side, const char *mask);
/* Refused by init: this error, these words, nothing written. */
void said_refused(struct decant_end said, enum end_side side, int code, const char *words);

#endif
