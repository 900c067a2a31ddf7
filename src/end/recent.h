/* SPDX-License-Identifier: MIT */
/*
 * What was found out of a descriptor some milliseconds ago, so that a stream of
 * small transfers does not ask the kernel each time.  Not a cache to rely on: a
 * number may have been closed and be another file since, so only what is no
 * more than a courtesy or a hint is kept here.
 *
 * Any thread may ask and note at any time.
 */
#ifndef END_RECENT_H
#define END_RECENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RECENT_SLOTS 256
#define RECENT_MS 20

enum recent_what {
	RECENT_STREAM_SOCKET, /* SO_TYPE said SOCK_STREAM */
	RECENT_IN_MEMORY,     /* a file that takes no RWF_NOWAIT, and never waits */
};

/* All zeros: nothing is known. */
struct recent {
	_Atomic uint64_t slots[RECENT_SLOTS];
};

/* It was noted at most RECENT_MS before now_ms (sys_clock_coarse_ms()). */
bool recent_has(struct recent *r, int fd, enum recent_what what, uint64_t now_ms);
void recent_note(struct recent *r, int fd, enum recent_what what, uint64_t now_ms);

#endif
