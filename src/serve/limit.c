/* SPDX-License-Identifier: MIT */
#include "serve/limit.h"

#include <stdatomic.h>
#include <stddef.h>

/* So much may be sent at once after a rest. */
#define LIMIT_BURST_NS 50000000ull
#define LIMIT_PROBES 16
#define LIMIT_SECOND 1000000000ull

struct limit_client *limit_client(const struct limits *l, uint64_t key, uint64_t now_ns)
{
	uint64_t at = key * 0x9e3779b97f4a7c15ull >> 40;

	if (l->client_rate == 0)
		return NULL;
	for (unsigned i = 0; i < LIMIT_PROBES; i++) {
		struct limit_client *c = &l->shared->clients[(at + i) % LIMIT_CLIENTS];

		if (atomic_load(&c->key) == key)
			return c;
	}
	for (unsigned i = 0; i < LIMIT_PROBES; i++) {
		struct limit_client *c = &l->shared->clients[(at + i) % LIMIT_CLIENTS];
		uint64_t old = atomic_load(&c->key);

		/* Who owes nothing is as good as new. */
		if ((old == 0 || atomic_load(&c->due_ns) + LIMIT_SECOND < now_ns) &&
		    atomic_compare_exchange_strong(&c->key, &old, key))
			return c;
	}
	return &l->shared->clients[at % LIMIT_CLIENTS];
}

static uint64_t limit_time(uint64_t bytes, uint64_t rate)
{
	return (uint64_t)((unsigned __int128)bytes * LIMIT_SECOND / rate);
}

static uint64_t limit_one(_Atomic uint64_t *due, uint64_t rate, uint64_t want, uint64_t now_ns,
			  uint64_t *ret_wait_ns)
{
	uint64_t old = atomic_load(due), from, room, bytes;

	do {
		from = old + LIMIT_BURST_NS > now_ns ? old : now_ns - LIMIT_BURST_NS;
		room = now_ns > from ? now_ns - from : 0;
		bytes = (uint64_t)((unsigned __int128)rate * room / LIMIT_SECOND);
		if (bytes == 0) {
			uint64_t wait = from + limit_time(1, rate) + LIMIT_BURST_NS / 4 - now_ns;

			if (wait > *ret_wait_ns)
				*ret_wait_ns = wait;
			return 0;
		}
		if (bytes > want)
			bytes = want;
	} while (!atomic_compare_exchange_weak(due, &old, from + limit_time(bytes, rate)));
	return bytes;
}

static void limit_back(_Atomic uint64_t *due, uint64_t rate, uint64_t bytes)
{
	atomic_fetch_sub(due, limit_time(bytes, rate));
}

uint64_t limit_take(const struct limits *l, struct limit_client *c, uint64_t want, uint64_t now_ns,
		    uint64_t *ret_wait_ns)
{
	uint64_t all;

	*ret_wait_ns = 0;
	if (c && l->client_rate)
		want = limit_one(&c->due_ns, l->client_rate, want, now_ns, ret_wait_ns);
	if (want == 0 || l->rate == 0)
		return want;
	all = limit_one(&l->shared->due_ns, l->rate, want, now_ns, ret_wait_ns);
	if (c && l->client_rate && all < want)
		limit_back(&c->due_ns, l->client_rate, want - all);
	return all;
}

void limit_return(const struct limits *l, struct limit_client *c, uint64_t bytes)
{
	if (c && l->client_rate)
		limit_back(&c->due_ns, l->client_rate, bytes);
	if (l->rate)
		limit_back(&l->shared->due_ns, l->rate, bytes);
}
