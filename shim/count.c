/* SPDX-License-Identifier: MIT */
/* What is counted per call site, in memory that outlives this process. */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "raw.h"
#include "shim.h"

#define COUNT_CACHE 1024
#define COUNT_PROBES 16

/* Sites that this process has found: address and call, and index + 1. */
static struct {
	uint64_t key;
	uint32_t site;
} count_cache[COUNT_CACHE];

static uint64_t count_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void shim_begin(struct shim_call *c, enum policy_call call, const void *ip)
{
	*c = (struct shim_call){ .event.call = call, .ip = ip, .fd = -1 };
	if (shim.counted)
		c->start_ns = count_now();
}

static void count_copy(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len >= size)
		len = size - 1;
	memcpy(to, from, len);
	to[len] = '\0';
}

/* Without a lock, unlike dladdr(). */
static void count_place(struct shared_site *s, const void *ip)
{
	const struct shared_program *program = &shim.shared->programs[shim.program];
	const char *name = "";
	uint64_t base = 0;

#if __GLIBC_PREREQ(2, 35)
	struct dl_find_object found;

	if (_dl_find_object((void *)(uintptr_t)ip, &found) == 0) {
		base = found.dlfo_link_map->l_addr;
		name = found.dlfo_link_map->l_name;
		if (!name || !*name)
			name = program->exe;
	}
#else
	(void)program;
#endif
	s->offset = (uint64_t)(uintptr_t)ip - base;
	count_copy(s->module, sizeof(s->module), name);
}

/* Index + 1; 0: there is no room. */
static uint32_t count_new_site(enum policy_call call, const void *ip)
{
	uint32_t i = __atomic_fetch_add(&shim.shared->sites_n, 1, __ATOMIC_RELAXED);
	struct shared_site *s;

	if (i >= SHARED_SITES)
		return 0;
	s = &shim.shared->sites[i];
	s->program = shim.program;
	s->call = call;
	s->counts.finding_fd = -1;
	count_place(s, ip);
	__atomic_store_n(&s->ready, 1, __ATOMIC_RELEASE);
	return i + 1;
}

/* Whoever comes while another one fills in a line makes a second: they are added up. */
static uint32_t count_site(enum policy_call call, const void *ip)
{
	uint64_t key = (uint64_t)(uintptr_t)ip << 3 | call;
	uint32_t at = (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32);

	for (unsigned i = 0; i < COUNT_PROBES; i++, at++) {
		uint64_t *k = &count_cache[at % COUNT_CACHE].key, none = 0;
		uint32_t *site = &count_cache[at % COUNT_CACHE].site, found;

		if (__atomic_load_n(k, __ATOMIC_ACQUIRE) == key) {
			found = __atomic_load_n(site, __ATOMIC_ACQUIRE);
			return found ? found : count_new_site(call, ip);
		}
		if (__atomic_compare_exchange_n(k, &none, key, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE)) {
			found = count_new_site(call, ip);
			__atomic_store_n(site, found, __ATOMIC_RELEASE);
			return found;
		}
		if (none == key)
			return count_new_site(call, ip);
	}
	return count_new_site(call, ip);
}

static void count_add(uint64_t *to, uint64_t n)
{
	(void)__atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static void count_set(uint32_t *to, uint32_t bits)
{
	if ((__atomic_load_n(to, __ATOMIC_RELAXED) & bits) != bits)
		(void)__atomic_fetch_or(to, bits, __ATOMIC_RELAXED);
}

static void count_error(struct report_counts *n, int32_t error)
{
	count_add(&n->failed, 1);
	for (unsigned i = 0; i < REPORT_ERRORS; i++) {
		int32_t there = __atomic_load_n(&n->errors[i].error, __ATOMIC_RELAXED);

		if (there == 0 &&
		    __atomic_compare_exchange_n(&n->errors[i].error, &there, error, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			there = error;
		if (there == error) {
			(void)__atomic_fetch_add(&n->errors[i].n, 1, __ATOMIC_RELAXED);
			return;
		}
	}
}

static uint32_t count_findings(const struct shim_call *c, uint64_t asked_bytes, int64_t r)
{
	uint32_t found = c->verdict.findings;
	bool nonblock = c->event.flags & 2u; /* SPLICE_F_NONBLOCK */

	if (c->event.call != CALL_VMSPLICE)
		return found;
	if (nonblock && r == -EAGAIN)
		found |= 1u << FINDING_EAGAIN;
	if (!nonblock && c->verdict.action == ACTION_PASS && c->event.out.kind != KIND_NONE &&
	    r > 0 && (uint64_t)r < asked_bytes)
		found |= 1u << FINDING_SHORT_V1;
	return found;
}

void shim_count(const struct shim_call *c, uint64_t asked_bytes, int64_t r)
{
	struct report_counts *n;
	uint32_t site, found;

	if (!shim.counted)
		return;
	site = shim.program < SHARED_PROGRAMS ? count_site(c->event.call, c->ip) : 0;
	if (site == 0) {
		count_add(&shim.shared->dropped_calls, 1);
		return;
	}
	n = &shim.shared->sites[site - 1].counts;
	count_add(&n->calls, 1);
	count_add(&n->asked_bytes, asked_bytes);
	if (r >= 0)
		count_add(&n->bytes, (uint64_t)r);
	else
		count_error(n, (int32_t)-r);
	count_add(&n->ns, count_now() - c->start_ns);
	count_set(&n->flags, c->event.flags);
	count_set(&n->in_kinds, 1u << c->event.in.kind);
	count_set(&n->out_kinds, 1u << c->event.out.kind);
	count_set(&n->actions, 1u << c->verdict.action);
	found = count_findings(c, asked_bytes, r);
	if (found)
		__atomic_store_n(&n->finding_fd, c->fd, __ATOMIC_RELAXED);
	count_set(&n->findings, found);
}
