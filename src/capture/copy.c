/* SPDX-License-Identifier: MIT */
/* Memory into the file, each page at its place. */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "capture/capture.h"
#include "capture/objects.h"
#include "sys/sys.h"

#define COPY_PIECES 1024
#define COPY_ALLOCATE_MIN (1u << 20)
#define COPY_ZEROS_MIN (64u << 10)  /* fewer need not be given back to the disk */
#define COPY_HOLE_MIN (16u << 10)  /* fewer zero bytes are not worth a write of their own */

static bool copy_is_zero(const unsigned char *page)
{
	const uint64_t *w = (const void *)page;

	/* Most pages are told by their first words. */
	return (w[0] | w[1] | w[64] | w[255]) == 0 &&
	       memcmp(page, page + 8, WRITER_PAGE - 8) == 0 && w[0] == 0;
}

void capture_allocate(struct capture *c, const struct ranges *what)
{
	for (size_t i = 0; i < what->n; i++) {
		uint64_t start = what->v[i].start, end = what->v[i].end, run, offset;

		for (; end - start >= COPY_ALLOCATE_MIN; start += run) {
			offset = core_layout_offset(&c->layout, start, &run);
			if (offset == UINT64_MAX)
				return;
			run = min_u64(run, end - start);
			if (run >= COPY_ALLOCATE_MIN)
				writer_allocate(c->writer, offset, run);
		}
	}
}

/* Zeros that are not written: what room was made for them is given back at the end. */
static int copy_zeros(struct capture *c, uint64_t offset, uint32_t len)
{
	return len >= COPY_ZEROS_MIN ? ranges_add(&c->zeros, offset, offset + len) : 0;
}

/* [at, at + len) of b, which is one piece of the file, without its long runs of zeros. */
static int copy_put(struct capture *c, struct writer_buffer *b, uint32_t at, uint32_t len,
		    uint64_t offset)
{
	uint32_t from = 0, zeros = 0;
	int r = 0;

	if (!c->sparse)
		return writer_put(c->writer, b, at, len, offset, &c->err);
	for (uint32_t i = 0; i < len && r >= 0; i += WRITER_PAGE) {
		if (copy_is_zero(b->data + at + i)) {
			zeros += WRITER_PAGE;
			continue;
		}
		if (zeros >= COPY_HOLE_MIN || zeros == i - from) {
			if (i - zeros > from)
				r = writer_put(c->writer, b, at + from, i - zeros - from,
					       offset + from, &c->err);
			if (r >= 0)
				r = copy_zeros(c, offset + i - zeros, zeros);
			from = i;
		}
		zeros = 0;
	}
	if (r >= 0)
		r = copy_zeros(c, offset + len - zeros, zeros);
	if (r >= 0 && len - zeros > from)
		r = writer_put(c->writer, b, at + from, len - zeros - from, offset + from,
			       &c->err);
	return r;
}

/* The piece [start, end), which lies at b->data + at, to where it belongs. */
static int copy_piece(struct capture *c, struct writer_buffer *b, uint32_t at, uint64_t start,
		      uint64_t end)
{
	while (start < end) {
		uint64_t run, offset = core_layout_offset(&c->layout, start, &run);
		int r;

		if (offset == UINT64_MAX)
			return capture_fail(c, -EIO, "no place in the image for %#llx",
					    (unsigned long long)start);
		run = min_u64(run, end - start);
		r = copy_put(c, b, at, (uint32_t)run, offset);
		if (r < 0)
			return r;
		at += (uint32_t)run;
		start += run;
	}
	return 0;
}

/* Next pieces of `what`, from range *i at *pos on, that fill a buffer together. */
static size_t copy_pick(const struct ranges *what, size_t *i, uint64_t *pos, struct range *v)
{
	uint64_t room = WRITER_BUFFER_BYTES;
	size_t n = 0;

	while (n < COPY_PIECES && room && *i < what->n) {
		uint64_t start = max_u64(what->v[*i].start, *pos);
		uint64_t end = min_u64(what->v[*i].end, start + room);

		v[n++] = (struct range){ start, end };
		room -= end - start;
		*pos = end;
		if (end == what->v[*i].end)
			(*i)++;
	}
	return n;
}

static int copy_buffer(struct capture *c, enum capture_from from, const struct range *v, size_t n,
		       struct ranges *bad)
{
	const struct target *t = from == CAPTURE_FROM_SHADOW ? &c->shadow.target : c->t;
	struct writer_buffer *b = writer_get(c->writer, &c->err);
	uint32_t at = 0;
	int r;

	if (!b)
		return writer_failed(c->writer);
	r = pages_gather(t, from == CAPTURE_FROM_SHADOW ? PAGES_SHADOW : PAGES_LIVE, v, n,
			 b->data, bad);
	if (r < 0)
		(void)capture_fail(c, r, "reading the target's memory");
	for (size_t k = 0; k < n && r >= 0; k++) {
		r = copy_piece(c, b, at, v[k].start, v[k].end);
		at += (uint32_t)(v[k].end - v[k].start);
	}
	writer_done(c->writer, b);
	c->copied_bytes += at;
	return r;
}

int capture_copy(struct capture *c, enum capture_from from, const struct ranges *what,
		 const char *phase, uint64_t expected_bytes)
{
	struct range v[COPY_PIECES];
	struct ranges bad = RANGES_INIT;
	uint64_t pos = 0;
	size_t i = 0;
	int r = 0;

	while (r >= 0 && i < what->n) {
		size_t n = copy_pick(what, &i, &pos, v);

		r = copy_buffer(c, from, v, n, &bad);
		if (r >= 0)
			r = capture_tick(c, phase, expected_bytes);
	}
	for (size_t k = 0; k < bad.n && r >= 0; k++)
		r = ranges_add(from == CAPTURE_FROM_SHADOW ? &c->unreadable : &c->again,
			       bad.v[k].start, bad.v[k].end);
	ranges_free(&bad);
	return r;
}

int capture_copy_file(struct capture *c, const struct scope_part *part, uint64_t start,
		      uint64_t end)
{
	const struct vma *v = &c->maps.v[part->vma];
	int r = 0;

	while (start < end && r >= 0) {
		uint64_t len = min_u64(end - start, WRITER_BUFFER_BYTES);
		struct writer_buffer *b = writer_get(c->writer, &c->err);
		int64_t n;

		if (!b)
			return writer_failed(c->writer);
		n = objects_read(c->objects, &c->maps, v, start, b->data, len);
		if (n >= 0)
			memset(b->data + n, 0, len - (uint64_t)n);
		else
			r = pages_gather(c->t, PAGES_LIVE, &(struct range){ start, start + len }, 1,
					 b->data, &c->unreadable);
		if (r >= 0)
			r = copy_piece(c, b, 0, start, start + len);
		writer_done(c->writer, b);
		start += len;
	}
	return r;
}

int capture_write_kept(struct capture *c)
{
	int r = writer_flush(c->writer, &c->err);

	for (size_t i = 0; i < c->keep.n && r >= 0; i++) {
		const struct keep_piece *p = &c->keep.v[i];
		uint64_t start = p->start;

		/* Another pass over the memory begins: its pages are newer. */
		if (i && start < p[-1].end)
			r = writer_flush(c->writer, &c->err);

		while (start < p->end && r >= 0) {
			uint64_t run, offset = core_layout_offset(&c->layout, start, &run);

			if (offset == UINT64_MAX)
				return capture_fail(c, -EIO, "no place in the image for %#llx",
						    (unsigned long long)start);
			run = min_u64(run, p->end - start);
			r = writer_pages(c->writer, p->data + (start - p->start), run,
					 offset, &c->err);
			start += run;
		}
	}
	return r < 0 ? r : writer_flush(c->writer, &c->err);
}
