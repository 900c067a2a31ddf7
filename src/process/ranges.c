/* SPDX-License-Identifier: MIT */
#include "process/ranges.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "sys/sys.h"

#define RANGES_FIRST 64

void ranges_free(struct ranges *r)
{
	free(r->v);
	*r = (struct ranges)RANGES_INIT;
}

void ranges_clear(struct ranges *r)
{
	r->n = 0;
}

void ranges_swap(struct ranges *a, struct ranges *b)
{
	struct ranges was = *a;

	*a = *b;
	*b = was;
}

int ranges_reserve(struct ranges *r, size_t n)
{
	uint64_t bytes;
	void *v;

	if (n <= r->size)
		return 0;
	if (!checked_mul(n, sizeof(*r->v), &bytes))
		return -ENOMEM;
	v = sys_realloc(r->v, bytes);
	if (!v)
		return -ENOMEM;
	r->v = v;
	r->size = n;
	return 0;
}

static int ranges_room(struct ranges *r)
{
	if (r->n < r->size)
		return 0;
	return ranges_reserve(r, r->size ? 2 * r->size : RANGES_FIRST);
}

static int ranges_append(struct ranges *r, uint64_t start, uint64_t end)
{
	int err = ranges_room(r);

	if (err < 0)
		return err;
	r->v[r->n++] = (struct range){ start, end };
	return 0;
}

/* The first range that ends at or behind addr: what [addr, ...) touches. */
static size_t ranges_touching(const struct ranges *r, uint64_t addr)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->v[mid].end >= addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* v[i] is the first that touches, or where the new one belongs. */
static int ranges_insert(struct ranges *r, size_t i, uint64_t start, uint64_t end)
{
	size_t next = i;
	int err;

	while (next < r->n && r->v[next].start <= end) {
		start = min_u64(start, r->v[next].start);
		end = max_u64(end, r->v[next].end);
		next++;
	}
	if (next == i) {
		err = ranges_room(r);
		if (err < 0)
			return err;
	}
	memmove(&r->v[i + 1], &r->v[next], (r->n - next) * sizeof(*r->v));
	r->n = r->n - next + i + 1;
	r->v[i] = (struct range){ start, end };
	return 0;
}

int ranges_add(struct ranges *r, uint64_t start, uint64_t end)
{
	struct range *last = r->n ? &r->v[r->n - 1] : NULL;

	if (start >= end)
		return 0;
	if (!last || start > last->end)
		return ranges_append(r, start, end);
	if (start >= last->start) {
		last->end = max_u64(last->end, end);
		return 0;
	}
	return ranges_insert(r, ranges_touching(r, start), start, end);
}

int ranges_union(struct ranges *ret, const struct ranges *a, const struct ranges *b)
{
	size_t i = 0, j = 0;
	int err = 0;

	ranges_clear(ret);
	while (err == 0 && (i < a->n || j < b->n)) {
		const struct range *r;

		if (j == b->n || (i < a->n && a->v[i].start <= b->v[j].start))
			r = &a->v[i++];
		else
			r = &b->v[j++];
		err = ranges_add(ret, r->start, r->end);
	}
	return err;
}

int ranges_subtract(struct ranges *ret, const struct ranges *a, const struct ranges *b)
{
	size_t i, j = 0, k;
	int err = 0;

	ranges_clear(ret);
	for (i = 0; err == 0 && i < a->n; i++) {
		uint64_t at = a->v[i].start, end = a->v[i].end;

		while (j < b->n && b->v[j].end <= at)
			j++;
		/* The last of these may reach into the next of a: j stays. */
		for (k = j; err == 0 && k < b->n && b->v[k].start < end; k++) {
			err = ranges_add(ret, at, b->v[k].start);
			at = b->v[k].end;
		}
		if (err == 0)
			err = ranges_add(ret, at, end);
	}
	return err;
}

int ranges_intersect(struct ranges *ret, const struct ranges *a, const struct ranges *b)
{
	size_t i = 0, j = 0;
	int err = 0;

	ranges_clear(ret);
	while (err == 0 && i < a->n && j < b->n) {
		err = ranges_add(ret, max_u64(a->v[i].start, b->v[j].start),
				 min_u64(a->v[i].end, b->v[j].end));
		if (a->v[i].end < b->v[j].end)
			i++;
		else
			j++;
	}
	return err;
}

uint64_t ranges_bytes(const struct ranges *r)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < r->n; i++)
		sum += r->v[i].end - r->v[i].start;
	return sum;
}

size_t ranges_find(const struct ranges *r, uint64_t addr)
{
	return addr == UINT64_MAX ? r->n : ranges_touching(r, addr + 1);
}

bool ranges_has(const struct ranges *r, uint64_t addr)
{
	size_t i = ranges_find(r, addr);

	return i < r->n && r->v[i].start <= addr;
}
