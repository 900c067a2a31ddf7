/* SPDX-License-Identifier: MIT */
/*
 * Shared memory without a name: /dev/zero, memfd, SysV and files that were
 * deleted.  No tracking sees who writes there, so that the stop copies it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "capture/objects.h"
#include "dump/predump.h"
#include "sys/sys.h"

#define SHARED_ID_SHIFT 48       /* inodes of another device get numbers of their own */

/* An object, by its inode. */
struct predump_shared {
	uint64_t dev, ino, id;
	struct ranges kept;      /* offsets in it */
};

/* A piece of c.keep whose addresses are offsets in an object. */
struct predump_piece {
	size_t object, piece;
};

bool predump_is_shared(const struct vma *v)
{
	return (v->flags & (VMA_SHARED | VMA_DELETED)) == (VMA_SHARED | VMA_DELETED) &&
	       !(v->flags & (VMA_IO | VMA_UNREADABLE | VMA_SPECIAL));
}

static size_t shared_find(const struct predump *p, const struct vma *v)
{
	size_t i = p->shared_n;

	/* Mappings of one object are neighbours, mostly. */
	while (i > 0 && (p->shared[i - 1].dev != v->dev || p->shared[i - 1].ino != v->ino))
		i--;
	return i ? i - 1 : SIZE_MAX;
}

uint64_t predump_shared_id(const struct predump *p, const struct vma *v)
{
	size_t i = predump_is_shared(v) ? shared_find(p, v) : SIZE_MAX;

	return i == SIZE_MAX ? 0 : p->shared[i].id;
}

/* Room for one element more. */
static int shared_grow(void **v, size_t n, size_t *size, size_t element)
{
	size_t more = *size ? 2 * *size : 64;
	void *to;

	if (n < *size)
		return 0;
	to = sys_realloc(*v, more * element);
	if (!to)
		return -ENOMEM;
	*v = to;
	*size = more;
	return 0;
}

static int shared_new(struct predump *p, const struct vma *v, size_t *ret)
{
	uint64_t id = v->ino;
	int r = shared_grow((void **)&p->shared, p->shared_n, &p->shared_size,
			    sizeof(*p->shared));

	if (r < 0)
		return r;
	for (size_t i = 0; i < p->shared_n; i++)
		if (p->shared[i].id == id)
			id |= (uint64_t)(p->shared_n + 1) << SHARED_ID_SHIFT;
	p->shared[p->shared_n] = (struct predump_shared){ v->dev, v->ino, id, RANGES_INIT };
	*ret = p->shared_n++;
	return 0;
}

/* Offsets [start, end) of what v shows; by the object, else through the target. */
static int shared_copy(struct predump *p, const struct vma *v, size_t object, uint64_t start,
		       uint64_t end)
{
	struct capture *c = &p->c;
	uint64_t from = v->start - v->file_offset;
	struct range at = { from + start, from + end };
	unsigned char *data;
	int64_t n;
	int r = shared_grow((void **)&p->pieces, p->pieces_n, &p->pieces_size,
			    sizeof(*p->pieces));

	if (r >= 0)
		r = keep_piece(&c->keep, start, end, &data);
	if (r < 0)
		return r;
	p->pieces[p->pieces_n++] = (struct predump_piece){ object, c->keep.n - 1 };
	c->copied_bytes += end - start;
	n = objects_read(c->objects, &c->maps, v, at.start, data, end - start);
	if (n < 0)
		return pages_gather(c->t, PAGES_LIVE, &at, 1, data, &c->unreadable);
	memset(data + n, 0, end - start - (uint64_t)n);
	return 0;
}

static int shared_mapping(struct predump *p, const struct vma *v)
{
	struct capture *c = &p->c;
	size_t object = shared_find(p, v);
	int r = object == SIZE_MAX ? shared_new(p, v, &object) : 0;

	ranges_clear(&p->tmp);
	if (r >= 0 && objects_data(c->objects, &c->maps, v, v->start, v->end, &p->tmp) < 0) {
		/* It cannot be opened: what is in it only the target's own reading tells. */
		ranges_clear(&p->tmp);
		r = ranges_add(&p->tmp, v->start, v->end);
	}
	ranges_clear(&p->tmp2);
	for (size_t i = 0; i < p->tmp.n && r >= 0; i++)
		r = ranges_add(&p->tmp2, p->tmp.v[i].start - v->start + v->file_offset,
			       p->tmp.v[i].end - v->start + v->file_offset);
	/* Only what no other mapping of it has shown. */
	if (r >= 0)
		r = ranges_subtract(&p->tmp, &p->tmp2, &p->shared[object].kept);
	for (size_t i = 0; i < p->tmp.n && r >= 0; i++) {
		r = shared_copy(p, v, object, p->tmp.v[i].start, p->tmp.v[i].end);
		if (r >= 0)
			r = ranges_add(&p->shared[object].kept, p->tmp.v[i].start,
				       p->tmp.v[i].end);
	}
	return r;
}

int predump_shared_keep(struct predump *p)
{
	int r = 0;

	for (size_t i = 0; i < p->c.maps.n && r >= 0; i++)
		if (predump_is_shared(&p->c.maps.v[i]))
			r = shared_mapping(p, &p->c.maps.v[i]);
	return r;
}

/* ------------------------------------------------------------------ images */

struct shared_sort {
	uint64_t start;
	size_t piece;
};

static int shared_compare(const void *a, const void *b)
{
	const struct shared_sort *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int shared_object(struct predump *p, struct dir *d, size_t object, struct shared_sort *v)
{
	const struct keep_piece *k = p->c.keep.v;
	struct dir_pages *pages = NULL;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < p->pieces_n; i++)
		if (p->pieces[i].object == object)
			v[n++] = (struct shared_sort){ k[p->pieces[i].piece].start,
						       p->pieces[i].piece };
	qsort(v, n, sizeof(*v), shared_compare);
	r = dir_pages_begin(d, DIR_SHMEM, p->shared[object].id, &pages, &p->c.err);
	for (size_t i = 0; i < n && r >= 0; i++) {
		const struct keep_piece *x = &k[v[i].piece];

		r = dir_pages_put(pages, x->start, (x->end - x->start) / CRIU_PAGE, x->data,
				  &p->c.err);
		p->report->last_pages += (x->end - x->start) / CRIU_PAGE;
	}
	return r < 0 ? r : dir_pages_end(pages, &p->c.err);
}

int predump_shared_write(struct predump *p, struct dir *d)
{
	struct shared_sort *v = sys_calloc(p->pieces_n + 1, sizeof(*v));
	int r = v ? 0 : predump_fail(p, -ENOMEM, "shared memory");

	for (size_t i = 0; i < p->shared_n && r >= 0; i++)
		r = shared_object(p, d, i, v);
	free(v);
	return r;
}

void predump_shared_free(struct predump *p)
{
	for (size_t i = 0; i < p->shared_n; i++)
		ranges_free(&p->shared[i].kept);
	free(p->shared);
	free(p->pieces);
	p->shared = NULL;
	p->pieces = NULL;
	p->shared_n = p->shared_size = p->pieces_n = p->pieces_size = 0;
}
