/* SPDX-License-Identifier: MIT */
/*
 * Buffers for copies: some slots, claimed with one atomic step.  A slot whose
 * thread is gone (killed, or the slot came by a fork) is taken over when there
 * is no other.  A handler that leaves by longjmp() loses one for its thread's
 * life; in the end the caller has to do with a small one of its own.
 */
#include <errno.h>
#include <sys/mman.h>

#include "raw.h"
#include "shim.h"

#define BUFFER_SLOTS 64
#define BUFFER_SIZE (1u << 20) /* what smbd reads at a time; only what is used is there */

static int32_t buffer_owner[BUFFER_SLOTS]; /* a thread's id; 0: free */
static unsigned char *buffer_base;

static unsigned char *buffer_map(void)
{
	unsigned char *base = __atomic_load_n(&buffer_base, __ATOMIC_ACQUIRE), *none = NULL;
	long p;

	if (base)
		return base;
	p = raw(SYS_mmap, 0, (long)BUFFER_SLOTS * BUFFER_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p < 0 && p > -4096)
		return NULL;
	if (__atomic_compare_exchange_n(&buffer_base, &none, (unsigned char *)p, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return (unsigned char *)p;
	(void)raw2(SYS_munmap, p, (long)BUFFER_SLOTS * BUFFER_SIZE);
	return none;
}

/*
 * gettid(), kept per thread.  A child of fork() has another number: it sees
 * that by a page which the kernel empties for it.
 */
static int32_t buffer_tid(void)
{
	static _Thread_local int32_t tid;
	static _Thread_local uint32_t of;
	static uint32_t generation = 1;
	static uint32_t *here;
	uint32_t *page = __atomic_load_n(&here, __ATOMIC_ACQUIRE), now;

	if (!page) {
		long p = raw(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if ((p < 0 && p > -4096) || raw3(SYS_madvise, p, 4096, MADV_WIPEONFORK) < 0)
			return (int32_t)raw1(SYS_gettid, 0);
		page = (uint32_t *)p;
		__atomic_store_n(page, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&here, page, __ATOMIC_RELEASE);
	}
	if (!__atomic_load_n(page, __ATOMIC_ACQUIRE)) {
		(void)__atomic_fetch_add(&generation, 1, __ATOMIC_RELAXED);
		__atomic_store_n(page, 1, __ATOMIC_RELEASE);
	}
	now = __atomic_load_n(&generation, __ATOMIC_RELAXED);
	if (of != now) {
		tid = (int32_t)raw1(SYS_gettid, 0);
		of = now;
	}
	return tid;
}

static bool buffer_take(int slot, int32_t from, int32_t to)
{
	return __atomic_compare_exchange_n(&buffer_owner[slot], &from, to, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static int buffer_claim(void)
{
	int32_t tid = buffer_tid(), pid;

	for (int i = 0; i < BUFFER_SLOTS; i++)
		if (buffer_take(i, 0, tid))
			return i;
	pid = (int32_t)raw1(SYS_getpid, 0);
	for (int i = 0; i < BUFFER_SLOTS; i++) {
		int32_t owner = __atomic_load_n(&buffer_owner[i], __ATOMIC_RELAXED);

		if (owner && raw3(SYS_tgkill, pid, owner, 0) == -ESRCH &&
		    buffer_take(i, owner, tid))
			return i;
	}
	return -1;
}

int shim_buffer_begin(struct move *m)
{
	unsigned char *base = buffer_map();
	int slot = base ? buffer_claim() : -1;

	if (slot >= 0) {
		m->buf = base + (size_t)slot * BUFFER_SIZE;
		m->size = BUFFER_SIZE;
	}
	return slot;
}

void shim_buffer_end(int slot)
{
	__atomic_store_n(&buffer_owner[slot], 0, __ATOMIC_RELEASE);
}
