/* SPDX-License-Identifier: MIT */
/* The file made whole: places, what only files hold, holes, headers. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "capture/capture.h"
#include "capture/finish.h"
#include "capture/objects.h"
#include "sys/sys.h"

#define FINISH_ZEROS (256u << 10)

int capture_place(struct capture *c)
{
	int r = 0;

	if (!c->layout.head_bytes)
		r = core_layout_begin(&c->layout, c->maps.n, c->stop.n ? c->stop.n : 1,
				      c->auxv.len + c->maps.names.len + c->maps.n * 24 + 4096);
	for (size_t i = 0; i < c->scope.n && r >= 0; i++)
		r = core_layout_place(&c->layout, c->scope.v[i].start, c->scope.v[i].end);
	return r < 0 ? capture_fail(c, r, "the image's layout") : 0;
}

/* ------------------------------------------------- what only files hold */

static int finish_keep_page(struct capture *c, struct scope_part *p)
{
	const struct vma *v = &c->maps.v[p->vma];
	uint64_t len = p->end - p->start;
	unsigned char *data;
	int64_t n = -EACCES;
	int r = keep_piece(&c->keep, p->start, p->end, &data);

	if (r < 0)
		return r;
	if (v->flags & VMA_FILE)
		n = objects_read(c->objects, &c->maps, v, p->start, data, len);
	if (n < 0)
		n = pages_read(c->t, PAGES_LIVE, p->start, data, len);
	if (n != (int64_t)len || (p->first_page && !core_is_elf(data, len))) {
		p->end = p->start;
		c->keep.n--;
	}
	return 0;
}

/* All of them are short: a vdso has two pages. */
int capture_keep_fixed(struct capture *c)
{
	int r = 0;

	for (size_t i = 0; i < c->scope.n && r >= 0; i++)
		if (c->scope.v[i].how == SCOPE_FIXED)
			r = finish_keep_page(c, &c->scope.v[i]);
	return r < 0 ? capture_fail(c, r, "first pages of mapped files") : 0;
}

/* A file that was written to meanwhile is no matter of one instant: say so. */
int finish_mixed(struct capture *c, const struct scope_part *p)
{
	if (p->how != SCOPE_FILE || !objects_changed(c->objects, &c->maps, &c->maps.v[p->vma]))
		return 0;
	return ranges_add(&c->mixed, p->start, p->end);
}

/* Pages of private file mappings that were never read in: the file's own. */
static int finish_file_pages(struct capture *c)
{
	struct ranges part = RANGES_INIT, have = RANGES_INIT;
	int r = 0;

	for (size_t i = c->accounted; i < c->keep.n && r >= 0; i++)
		r = ranges_add(&c->in_file, c->keep.v[i].start, c->keep.v[i].end);
	for (size_t i = 0; i < c->scope.n && r >= 0; i++) {
		const struct scope_part *p = &c->scope.v[i];

		if (p->how != SCOPE_FILE &&
		    (!p->file_base || p->how == SCOPE_FIXED ||
		     (c->maps.v[p->vma].flags & VMA_SHARED)))
			continue;
		ranges_clear(&part);
		r = ranges_add(&part, p->start, p->end);
		if (r >= 0)
			r = ranges_subtract(&have, &part, &c->in_file);
		for (size_t k = 0; k < have.n && r >= 0; k++)
			r = capture_copy_file(c, p, have.v[k].start, have.v[k].end);
		if (r >= 0)
			r = finish_mixed(c, p);
	}
	ranges_free(&part);
	ranges_free(&have);
	return r < 0 && !c->err.text[0] ? capture_fail(c, r, "pages of mapped files") : r;
}

/* --------------------------------------------------------------- the holes */

static int finish_zero(int fd, uint64_t offset, uint64_t len)
{
	static const unsigned char zeros[FINISH_ZEROS];
	ssize_t n;

	if (sys_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len) >= 0)
		return 0;
	for (; len; offset += (uint64_t)n, len -= (uint64_t)n) {
		n = sys_pwrite(fd, zeros, min_u64(len, sizeof(zeros)), offset);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
	}
	return 0;
}

/* Pages that rounds wrote and that were not there any more in the instant. */
static int finish_holes(struct capture *c)
{
	int r = ranges_subtract(&c->tmp, &c->stale, &c->in_file);

	for (size_t i = 0; i < c->tmp.n && r >= 0; i++) {
		uint64_t start = c->tmp.v[i].start, end = c->tmp.v[i].end, run, offset;

		for (; start < end && r >= 0; start += run) {
			const struct scope_part *p = scope_find(&c->scope, start);

			offset = core_layout_offset(&c->layout, start, &run);
			run = min_u64(run, end - start);
			/* There the file's own page was written meanwhile. */
			if (p && p->file_base && !(c->maps.v[p->vma].flags & VMA_SHARED)) {
				run = min_u64(run, p->end - start);
				continue;
			}
			if (p)
				run = min_u64(run, p->end - start);
			if (offset != UINT64_MAX)
				r = finish_zero(c->sink->fd, offset, run);
		}
	}
	return r < 0 ? capture_fail(c, r, "making holes in the image") : 0;
}

/* Room that was made for zero pages; a later round may have written to some of them. */
static int finish_zeros(struct capture *c)
{
	struct ranges valid = RANGES_INIT;
	uint64_t run, offset;
	int r = 0;

	for (size_t i = 0; i < c->rewritten.n && r >= 0; i++)
		for (uint64_t at = c->rewritten.v[i].start; at < c->rewritten.v[i].end && r >= 0;
		     at += run) {
			offset = core_layout_offset(&c->layout, at, &run);
			run = min_u64(run, c->rewritten.v[i].end - at);
			if (offset != UINT64_MAX)
				r = ranges_add(&valid, offset, offset + run);
		}
	if (r >= 0)
		r = ranges_subtract(&c->tmp, &c->zeros, &valid);
	for (size_t i = 0; i < c->tmp.n && r >= 0; i++)
		(void)sys_fallocate(c->sink->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    c->tmp.v[i].start, c->tmp.v[i].end - c->tmp.v[i].start);
	ranges_free(&valid);
	return r < 0 ? capture_fail(c, r, "making holes in the image") : 0;
}

/* ------------------------------------------------------------- the headers */

int finish_segments(struct capture *c, struct core_segment **ret, size_t *ret_n)
{
	struct core_segment *s = sys_calloc(c->maps.n + 1, sizeof(*s));
	size_t k = 0;

	if (!s)
		return capture_fail(c, -ENOMEM, "the image's headers");
	for (size_t i = 0; i < c->maps.n; i++) {
		const struct vma *v = &c->maps.v[i];

		s[i] = (struct core_segment){
			.start = v->start,
			.end = v->end,
			.flags = (v->flags & VMA_READ ? 4u : 0) | (v->flags & VMA_WRITE ? 2u : 0) |
				 (v->flags & VMA_EXEC ? 1u : 0),
		};
		if (k < c->scope.n && c->scope.v[k].vma == i) {
			s[i].file_bytes = c->scope.v[k].end - c->scope.v[k].start;
			c->report->memory_bytes += s[i].file_bytes;
			k++;
		}
	}
	*ret = s;
	*ret_n = c->maps.n;
	return 0;
}

static int finish_put(struct capture *c, const struct buf *b, uint64_t offset)
{
	size_t done = 0;

	while (done < b->len) {
		ssize_t n = sys_pwrite(c->sink->fd, b->data + done, b->len - done, offset + done);

		if (n <= 0)
			return capture_fail(c, n < 0 ? (int)n : -EIO, "writing the image");
		done += (size_t)n;
	}
	return 0;
}

static int finish_head(struct capture *c)
{
	struct buf head = BUF_INIT, tail = BUF_INIT;
	struct core_segment *segments = NULL;
	size_t n = 0;
	int r = finish_segments(c, &segments, &n);

	if (r >= 0)
		r = core_head(&c->layout, segments, n, &c->notes, &head, &tail, &c->err);
	if (r >= 0)
		r = finish_put(c, &head, 0);
	if (r >= 0)
		r = finish_put(c, &tail, c->layout.file_end);
	c->report->file_bytes = c->layout.file_end + tail.len;
	if (r >= 0) {
		r = sys_ftruncate(c->sink->fd, c->report->file_bytes);
		if (r < 0)
			(void)capture_fail(c, r, "writing the image");
	}
	buf_free(&head);
	buf_free(&tail);
	free(segments);
	return r;
}

int capture_finish(struct capture *c)
{
	int r = capture_keep_fixed(c);

	if (r >= 0)
		r = capture_place(c);
	if (r >= 0)
		r = capture_write_kept(c);
	if (r >= 0)
		r = finish_file_pages(c);
	if (r >= 0)
		r = writer_flush(c->writer, &c->err);
	/* Headers have no whole blocks: through the page cache, when nothing else writes. */
	writer_close(c->writer);
	c->writer = NULL;
	if (r >= 0)
		r = finish_holes(c);
	if (r >= 0)
		r = finish_zeros(c);
	if (r >= 0)
		r = capture_notes(c);
	return r < 0 ? r : finish_head(c);
}
