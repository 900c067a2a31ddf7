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
#include "predump/predump.h"
#include "predump/put.h"
#include "sys/sys.h"

#define SHARED_ID_SHIFT 48       /* inodes of another device get numbers of their own */

bool predump_is_shared(const struct vma *v)
{
	return (v->flags & (VMA_SHARED | VMA_DELETED)) == (VMA_SHARED | VMA_DELETED) &&
	       !(v->flags & (VMA_IO | VMA_UNREADABLE | VMA_SPECIAL));
}

static size_t shared_find(const struct predump_shared *s, const struct vma *v)
{
	size_t i = s->objects_n;

	/* Mappings of one object are neighbours, mostly. */
	while (i > 0 && (s->objects[i - 1].dev != v->dev || s->objects[i - 1].ino != v->ino))
		i--;
	return i ? i - 1 : SIZE_MAX;
}

uint64_t predump_shared_id(const struct predump *p, const struct vma *v)
{
	size_t i = predump_is_shared(v) ? shared_find(p->shared, v) : SIZE_MAX;

	return i == SIZE_MAX ? 0 : p->shared->objects[i].id;
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

static int shared_new(struct predump_shared *s, const struct vma *v, size_t *ret)
{
	uint64_t id = v->ino;
	int r = shared_grow((void **)&s->objects, s->objects_n, &s->objects_size,
			    sizeof(*s->objects));

	if (r < 0)
		return r;
	for (size_t i = 0; i < s->objects_n; i++)
		if (s->objects[i].id == id)
			id |= (uint64_t)(s->objects_n + 1) << SHARED_ID_SHIFT;
	s->objects[s->objects_n] = (struct predump_object){ v->dev, v->ino, id, RANGES_INIT };
	*ret = s->objects_n++;
	return 0;
}

/* -------------------------------------------------------------- in the stop */

static int shared_list(struct predump *p, size_t vma, size_t object, const struct range *x)
{
	struct predump_shared *s = p->shared;
	int r = shared_grow((void **)&s->pieces, s->pieces_n, &s->pieces_size,
			    sizeof(*s->pieces));

	if (r < 0)
		return r;
	s->pieces[s->pieces_n++] = (struct predump_piece){ object, x->start, x->end, p, vma, NULL };
	s->bytes += x->end - x->start;
	return ranges_add(&s->objects[object].listed, x->start, x->end);
}

static int shared_mapping(struct predump *p, size_t vma)
{
	struct capture *c = &p->c;
	const struct vma *v = &c->maps.v[vma];
	size_t object = shared_find(p->shared, v);
	int r = object == SIZE_MAX ? shared_new(p->shared, v, &object) : 0;

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
		r = ranges_subtract(&p->tmp, &p->tmp2, &p->shared->objects[object].listed);
	for (size_t i = 0; i < p->tmp.n && r >= 0; i++)
		r = shared_list(p, vma, object, &p->tmp.v[i]);
	return r;
}

int predump_shared_look(struct predump *p)
{
	int r = 0;

	for (size_t i = 0; i < p->c.maps.n && r >= 0; i++)
		if (predump_is_shared(&p->c.maps.v[i]))
			r = shared_mapping(p, i);
	return r;
}

/* Offsets [start, end) of a piece: by the object, else through the target. */
static int shared_read(const struct predump_piece *x, uint64_t start, uint64_t end,
		       unsigned char *data)
{
	struct capture *c = &x->p->c;
	const struct vma *v = &c->maps.v[x->vma];
	uint64_t from = v->start - v->file_offset;
	struct range at = { from + start, from + end };
	int64_t n = objects_read(c->objects, &c->maps, v, at.start, data, end - start);

	c->copied_bytes += end - start;
	if (n < 0)
		return pages_gather(c->t, PAGES_LIVE, &at, 1, data, &c->unreadable);
	memset(data + n, 0, end - start - (uint64_t)n);
	return 0;
}

int predump_shared_keep(struct predump_shared *s)
{
	int r = 0;

	for (size_t i = 0; i < s->pieces_n && r >= 0; i++) {
		struct predump_piece *x = &s->pieces[i];

		r = keep_piece(&x->p->c.keep, x->start, x->end, &x->data);
		if (r >= 0)
			r = shared_read(x, x->start, x->end, x->data);
	}
	return r;
}

/* ------------------------------------------------------------------ images */

static int shared_compare(const void *a, const void *b)
{
	const struct predump_piece *x = a, *y = b;

	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int shared_put(struct put *u, const struct predump_piece *x)
{
	int r = 0;

	for (uint64_t at = x->start, end; at < x->end && r >= 0; at = end) {
		struct put_buffer b;
		int done;

		end = min_u64(x->end, at + put_bytes(u));
		r = put_buffer(u, &b);
		if (r < 0)
			return r;
		if (x->data)
			memcpy(b.data, x->data + (at - x->start), end - at);
		else
			r = shared_read(x, at, end, b.data);
		if (r >= 0)
			r = put_pages(u, &b, 0, at, end);
		else
			(void)predump_fail(u->p, r, "shared memory");
		done = put_done(u, &b);
		if (r >= 0)
			r = done;
		if (r >= 0)
			r = capture_tick(&u->p->c, "writing", 0);
	}
	return r;
}

/* Its pieces, by offset. */
static int shared_object(struct predump *p, struct dir *d, uint64_t id,
			 const struct predump_piece *v, size_t n)
{
	uint64_t most = 0;
	struct put u;
	int r;

	for (size_t i = 0; i < n; i++)
		most += v[i].end - v[i].start;
	r = put_begin(&u, p, d, DIR_SHMEM, id, most, false);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r >= 0; i++)
		r = shared_put(&u, &v[i]);
	p->report->last_pages += u.present_pages;
	if (r >= 0)
		return put_end(&u);
	put_drop(&u);
	return r;
}

int predump_shared_write(struct predump *p, struct dir *d)
{
	struct predump_shared *s = p->shared;
	size_t at = 0;
	int r = 0;

	if (s->pieces_n)
		qsort(s->pieces, s->pieces_n, sizeof(*s->pieces), shared_compare);
	for (size_t i = 0; i < s->objects_n && r >= 0; i++) {
		size_t n = 0;

		while (at + n < s->pieces_n && s->pieces[at + n].object == i)
			n++;
		r = shared_object(p, d, s->objects[i].id, s->pieces + at, n);
		at += n;
	}
	return r;
}

void predump_shared_free(struct predump_shared *s)
{
	for (size_t i = 0; i < s->objects_n; i++)
		ranges_free(&s->objects[i].listed);
	free(s->objects);
	free(s->pieces);
	*s = (struct predump_shared){ 0 };
}
