/* SPDX-License-Identifier: MIT */
#include "end/recent.h"

/* One word holds it all, so that threads need no lock: when, of whom, what. */
#define RECENT_FD_BITS 24
#define RECENT_WHAT_BITS 1
#define RECENT_KEY_BITS (RECENT_FD_BITS + RECENT_WHAT_BITS)

static uint64_t recent_key(int fd, enum recent_what what)
{
	return (uint64_t)fd << RECENT_WHAT_BITS | (uint64_t)what;
}

bool recent_has(struct recent *r, int fd, enum recent_what what, uint64_t now_ms)
{
	uint64_t key = recent_key(fd, what);
	uint64_t word = atomic_load_explicit(&r->slots[key % RECENT_SLOTS], memory_order_relaxed);
	uint64_t then_ms = word >> RECENT_KEY_BITS;

	return then_ms && (word & ((1ull << RECENT_KEY_BITS) - 1)) == key && now_ms >= then_ms &&
	       now_ms - then_ms <= RECENT_MS;
}

void recent_note(struct recent *r, int fd, enum recent_what what, uint64_t now_ms)
{
	uint64_t key = recent_key(fd, what);

	if (fd < 0 || fd >> RECENT_FD_BITS)
		return;
	atomic_store_explicit(&r->slots[key % RECENT_SLOTS], now_ms << RECENT_KEY_BITS | key,
			      memory_order_relaxed);
}
