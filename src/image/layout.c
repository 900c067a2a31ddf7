/* SPDX-License-Identifier: MIT */
/* Where memory lies in the file: places that are given once and never move. */
#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "image/core.h"
#include "sys/sys.h"

/* Room for one thread's notes: registers, vector state, siginfo, names. */
#define LAYOUT_THREAD_BYTES 4096
/* Bounds that keep the sums below from overflowing; far above what Linux has. */
#define LAYOUT_SEGMENTS_MAX ((size_t)1 << 31)
#define LAYOUT_THREADS_MAX ((size_t)1 << 22)

int core_layout_begin(struct core_layout *l, size_t segments, size_t threads, size_t notes_bytes)
{
	uint64_t head;

	if (segments > LAYOUT_SEGMENTS_MAX || threads > LAYOUT_THREADS_MAX ||
	    notes_bytes > BUF_MAX_BYTES)
		return -EFBIG;
	/* One more program header for the notes; the section header of PN_XNUM. */
	head = sizeof(Elf64_Ehdr) + sizeof(Elf64_Shdr) + (2 * segments + 1) * sizeof(Elf64_Phdr) +
	       2 * (notes_bytes + threads * LAYOUT_THREAD_BYTES);
	if (!checked_align_up(head, CORE_PAGE, &head))
		return -EFBIG;
	core_layout_free(l);
	l->head_bytes = head;
	l->file_end = head;
	return 0;
}

void core_layout_free(struct core_layout *l)
{
	free(l->v);
	*l = (struct core_layout)CORE_LAYOUT_INIT;
}

/* The first place that ends behind addr: its index, or l->n. */
static size_t layout_find(const struct core_layout *l, uint64_t addr)
{
	size_t low = 0, high = l->n;

	/* Mappings come ascending: most often it is none. */
	if (high == 0 || l->v[high - 1].end <= addr)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->v[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int layout_reserve(struct core_layout *l)
{
	size_t size = l->size ? 2 * l->size : 64;
	struct core_place *v;

	if (l->n < l->size)
		return 0;
	v = sys_realloc(l->v, size * sizeof(*v));
	if (!v)
		return -ENOMEM;
	l->v = v;
	l->size = size;
	return 0;
}

/* One behind the other in memory and in the file. */
static bool layout_joins(const struct core_place *a, const struct core_place *b)
{
	return a->end == b->start && a->file_offset + (a->end - a->start) == b->file_offset;
}

/* New places get the file's end, so only the one below can go on in them. */
static int layout_insert(struct core_layout *l, size_t i, uint64_t start, uint64_t end)
{
	struct core_place new = { start, end, l->file_end };
	uint64_t file_end;
	int r;

	if (!checked_add(l->file_end, end - start, &file_end) || file_end > INT64_MAX)
		return -EFBIG;
	if (i > 0 && layout_joins(&l->v[i - 1], &new)) {
		l->v[i - 1].end = end;
	} else {
		r = layout_reserve(l);
		if (r < 0)
			return r;
		memmove(l->v + i + 1, l->v + i, (l->n - i) * sizeof(*l->v));
		l->v[i] = new;
		l->n++;
	}
	l->file_end = file_end;
	return 0;
}

int core_layout_place(struct core_layout *l, uint64_t start, uint64_t end)
{
	assert(start % CORE_PAGE == 0);
	assert(end % CORE_PAGE == 0);
	while (start < end) {
		size_t i = layout_find(l, start);
		uint64_t gap_end = end;
		int r;

		if (i < l->n && l->v[i].start <= start) {
			start = l->v[i].end;
			continue;
		}
		if (i < l->n && l->v[i].start < end)
			gap_end = l->v[i].start;
		r = layout_insert(l, i, start, gap_end);
		if (r < 0)
			return r;
		start = gap_end;
	}
	return 0;
}

uint64_t core_layout_offset(const struct core_layout *l, uint64_t addr, uint64_t *ret_len)
{
	size_t i = layout_find(l, addr);

	if (i == l->n || l->v[i].start > addr)
		return UINT64_MAX;
	*ret_len = l->v[i].end - addr;
	return l->v[i].file_offset + (addr - l->v[i].start);
}
