/* SPDX-License-Identifier: MIT */
#include "capture/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "sys/sys.h"

#define KEEP_BLOCK_MIN (1ull << 20)
#define KEEP_GATHER_MAX 1024

static int keep_block(struct keep *k, uint64_t bytes)
{
	struct keep_block *b = &k->blocks[k->blocks_n];
	void *p;
	int r;

	if (k->blocks_n == KEEP_BLOCKS)
		return -ENOMEM;
	/* More each time, so that few blocks are enough for anything. */
	b->size = max_u64(bytes, KEEP_BLOCK_MIN << (k->blocks_n < 12 ? k->blocks_n : 12));
	r = sys_mmap(&p, NULL, b->size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r < 0)
		return r;
	(void)sys_madvise(p, b->size, MADV_HUGEPAGE);
	(void)sys_madvise(p, b->size, MADV_POPULATE_WRITE);
	b->data = p;
	k->blocks_n++;
	k->used = 0;
	return 0;
}

static int keep_room(struct keep *k, size_t pieces)
{
	size_t size = k->size ? k->size : 1024;
	void *p;

	if (k->n + pieces <= k->size)
		return 0;
	while (size < k->n + pieces)
		size *= 2;
	p = sys_realloc(k->v, size * sizeof(*k->v));
	if (!p)
		return -ENOMEM;
	k->v = p;
	k->size = size;
	return 0;
}

int keep_reserve(struct keep *k, uint64_t bytes, size_t pieces)
{
	uint64_t left = k->blocks_n ? k->blocks[k->blocks_n - 1].size - k->used : 0;
	int r = keep_room(k, pieces);

	if (r < 0 || bytes <= left)
		return r;
	return keep_block(k, bytes);
}

int keep_piece(struct keep *k, uint64_t start, uint64_t end, unsigned char **ret)
{
	uint64_t len = end - start;
	int r = keep_reserve(k, len, 1);

	if (r < 0)
		return r;
	*ret = k->blocks[k->blocks_n - 1].data + k->used;
	k->v[k->n++] = (struct keep_piece){ start, end, *ret };
	k->used += len;
	k->bytes += len;
	return 0;
}

int keep_gather(struct keep *k, const struct target *t, const struct ranges *v,
		struct ranges *unreadable)
{
	unsigned char *first = NULL, *data;
	size_t i = 0;
	int r;

	/* One block for all: then pieces lie back to back, as pages_gather() wants them. */
	r = keep_reserve(k, ranges_bytes(v), v->n);
	for (size_t n; r >= 0 && i < v->n; i += n) {
		for (n = 0; n < KEEP_GATHER_MAX && i + n < v->n; n++) {
			r = keep_piece(k, v->v[i + n].start, v->v[i + n].end, &data);
			if (r < 0)
				return r;
			if (n == 0)
				first = data;
		}
		r = pages_gather(t, PAGES_LIVE, v->v + i, n, first, unreadable);
	}
	return r;
}

static int keep_compare(const void *a, const void *b)
{
	const struct keep_piece *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

void keep_sort(struct keep *k)
{
	if (k->n)
		qsort(k->v, k->n, sizeof(*k->v), keep_compare);
}

void keep_clear(struct keep *k)
{
	/* The largest block is the last one. */
	while (k->blocks_n > 1) {
		struct keep_block *b = &k->blocks[0];

		(void)sys_munmap(b->data, b->size);
		for (unsigned i = 1; i < k->blocks_n; i++)
			k->blocks[i - 1] = k->blocks[i];
		k->blocks_n--;
	}
	k->n = 0;
	k->used = 0;
	k->bytes = 0;
}

void keep_free(struct keep *k)
{
	for (unsigned i = 0; i < k->blocks_n; i++)
		(void)sys_munmap(k->blocks[i].data, k->blocks[i].size);
	free(k->v);
	*k = (struct keep)KEEP_INIT;
}
