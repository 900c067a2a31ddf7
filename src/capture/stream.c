/* SPDX-License-Identifier: MIT */
#include "capture/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "capture/finish.h"
#include "capture/objects.h"
#include "capture/out.h"
#include "process/drain.h"
#include "sys/sys.h"

struct stream {
	struct capture *c;
	struct out out;
	enum capture_from from;
	struct drain drain;
	bool draining;           /* pages go from the shadow's pipe to the sink, uncopied */
	uint64_t fill_addr, fill_len;
	int64_t filled;
	unsigned char *buffer;   /* OUT_CHUNK */
	size_t kept;             /* next piece of the keep */
};

/* ---------------------------------------------------------------- headers */

static int stream_head(struct stream *s)
{
	struct capture *c = s->c;
	struct buf head = BUF_INIT, tail = BUF_INIT;
	struct core_segment *segments = NULL;
	size_t n = 0;
	int r = capture_notes(c);

	if (r >= 0)
		r = core_layout_begin(&c->layout, c->maps.n, c->stop.n, c->notes.len);
	if (r >= 0)
		r = capture_place(c);
	if (r >= 0)
		r = finish_segments(c, &segments, &n);
	if (r >= 0)
		r = core_head(&c->layout, segments, n, &c->notes, &head, &tail, &c->err);
	/* With room for twice of what is there it always fits. */
	if (r >= 0 && (tail.len || head.len > c->layout.head_bytes))
		r = capture_fail(c, -EIO, "the headers are larger than the room for them");
	if (r >= 0)
		r = out_put(&s->out, head.data, head.len, &c->err);
	if (r >= 0)
		r = out_zeros(&s->out, c->layout.head_bytes - head.len, &c->err);
	buf_free(&head);
	buf_free(&tail);
	free(segments);
	return r;
}

/* ----------------------------------------------------------------- memory */

static int stream_fill(void *arg)
{
	struct stream *s = arg;

	s->filled = drain_fill(&s->drain, s->fill_addr, s->fill_len, &s->c->err);
	return s->filled < 0 ? (int)s->filled : 0;
}

static int stream_drained(struct stream *s, uint64_t start, uint64_t *ret_len)
{
	int r;

	s->fill_addr = start;
	s->fill_len = min_u64(*ret_len, s->drain.size);
	r = tracer_run(s->c->tracer, stream_fill, s);
	*ret_len = r < 0 || s->filled < 0 ? 0 : (uint64_t)s->filled;
	return *ret_len ? out_splice(&s->out, s->drain.fd, *ret_len, &s->c->err) : 0;
}

static int stream_read(struct stream *s, uint64_t start, uint64_t *ret_len)
{
	struct capture *c = s->c;
	bool shadow = s->from == CAPTURE_FROM_SHADOW;
	struct range v = { start, start + min_u64(*ret_len, OUT_CHUNK) };
	int r = pages_gather(shadow ? &c->shadow.target : c->t,
			     shadow ? PAGES_SHADOW : PAGES_LIVE, &v, 1, s->buffer, &c->unreadable);

	if (r < 0)
		return capture_fail(c, r, "reading the target's memory");
	*ret_len = v.end - v.start;
	return out_put(&s->out, s->buffer, *ret_len, &c->err);
}

/* Pages that are there. */
static int stream_pages(struct stream *s, uint64_t start, uint64_t end)
{
	bool from_shadow = s->from == CAPTURE_FROM_SHADOW;
	int r = 0;

	while (start < end && r >= 0) {
		uint64_t len = end - start;

		if (s->draining) {
			r = stream_drained(s, start, &len);
			/* A page that cannot be had this way is read the other way. */
			if (r >= 0 && len == 0) {
				len = CORE_PAGE;
				r = stream_read(s, start, &len);
			}
		} else {
			r = stream_read(s, start, &len);
		}
		start += len;
		s->c->copied_bytes += len;
		if (r >= 0)
			r = capture_tick(s->c, from_shadow ? "reading" : "stopped",
					 s->c->t->status.vm_rss_kib << 10);
	}
	return r;
}

/* At most OUT_CHUNK of what lies behind a mapping, else of the mapping. */
static int stream_object(struct stream *s, const struct scope_part *p, uint64_t start,
			 uint64_t len)
{
	struct capture *c = s->c;
	int64_t n = objects_read(c->objects, &c->maps, &c->maps.v[p->vma], start, s->buffer, len);
	int r = 0;

	if (n >= 0)
		memset(s->buffer + n, 0, len - (uint64_t)n);
	else
		r = pages_gather(c->t, PAGES_LIVE, &(struct range){ start, start + len }, 1,
				 s->buffer, &c->unreadable);
	return r < 0 ? capture_fail(c, r, "reading mapped files") :
		       out_put(&s->out, s->buffer, len, &c->err);
}

/* What is not there: zeros, or what the mapped file has. */
static int stream_absent(struct stream *s, const struct scope_part *p, uint64_t start,
			 uint64_t end)
{
	struct capture *c = s->c;
	const struct vma *v = &c->maps.v[p->vma];
	int r = 0;

	if (p->how != SCOPE_FILE && (!p->file_base || (v->flags & VMA_SHARED)))
		return out_zeros(&s->out, end - start, &c->err);
	while (start < end && r >= 0) {
		uint64_t len = min_u64(end - start, OUT_CHUNK);

		r = stream_object(s, p, start, len);
		start += len;
	}
	return r;
}

static int stream_kept(struct stream *s, const struct scope_part *p)
{
	struct capture *c = s->c;
	uint64_t at = p->start;
	int r = 0;

	while (s->kept < c->keep.n && c->keep.v[s->kept].start < p->start)
		s->kept++;
	for (; s->kept < c->keep.n && c->keep.v[s->kept].start < p->end && r >= 0; s->kept++) {
		const struct keep_piece *k = &c->keep.v[s->kept];

		r = out_zeros(&s->out, k->start - at, &c->err);
		if (r >= 0)
			r = out_put(&s->out, k->data, k->end - k->start, &c->err);
		at = k->end;
	}
	return r < 0 ? r : out_zeros(&s->out, p->end - at, &c->err);
}

/* Shared memory of a target that stands still, straight from the object. */
static int stream_shared(struct stream *s, const struct scope_part *p, struct ranges *there)
{
	struct capture *c = s->c;
	uint64_t at = p->start;
	int r = 0;

	for (size_t i = 0; i < there->n && r >= 0; i++) {
		uint64_t start = there->v[i].start, end = there->v[i].end;

		r = out_zeros(&s->out, start - at, &c->err);
		for (; start < end && r >= 0;) {
			uint64_t len = min_u64(end - start, OUT_CHUNK);
			r = stream_object(s, p, start, len);
			start += len;
		}
		at = end;
	}
	return r < 0 ? r : out_zeros(&s->out, p->end - at, &c->err);
}

static int stream_scanned(struct stream *s, const struct scope_part *p)
{
	struct capture *c = s->c;
	struct pages_found found = { .there = &c->residue };
	const struct target *of = s->from == CAPTURE_FROM_SHADOW ? &c->shadow.target : c->t;
	uint64_t at = p->start;
	int r = 0;

	ranges_clear(&c->residue);
	if (c->maps.v[p->vma].flags & VMA_SHARED) {
		r = capture_shared(c, p, &c->residue);
		return r < 0 ? r : stream_shared(s, p, &c->residue);
	}
	r = pages_scan(of, p->start, p->end, &found, &c->err);
	c->swapped_bytes += found.swapped_bytes;
	for (size_t i = 0; i < c->residue.n && r >= 0; i++) {
		const struct range *x = &c->residue.v[i];

		r = stream_absent(s, p, at, x->start);
		if (r >= 0)
			r = stream_pages(s, x->start, x->end);
		at = x->end;
	}
	return r < 0 ? r : stream_absent(s, p, at, p->end);
}

static int stream_parts(struct stream *s)
{
	struct capture *c = s->c;
	int r = 0;

	for (size_t i = 0; i < c->scope.n && r >= 0; i++) {
		const struct scope_part *p = &c->scope.v[i];
		bool kept = p->how == SCOPE_FIXED ||
			    (p->how == SCOPE_STOPPED && s->from == CAPTURE_FROM_SHADOW);

		if (p->how == SCOPE_FILE) {
			r = stream_absent(s, p, p->start, p->end);
			if (r >= 0)
				r = finish_mixed(c, p);
		} else {
			r = kept ? stream_kept(s, p) : stream_scanned(s, p);
		}
	}
	return r;
}

/* ------------------------------------------------------------------- ends */

static int stream_tick(void *arg)
{
	struct stream *s = arg;

	return capture_tick(s->c, "writing", s->c->t->status.vm_rss_kib << 10);
}

static int stream_drain(void *arg)
{
	struct stream *s = arg;
	struct err err;

	return drain_open(&s->drain, &s->c->shadow, &err);
}

/* May pages go from the shadow to the sink without a copy of ours? */
static bool stream_can_drain(struct stream *s)
{
	struct capture *c = s->c;
	struct stat st;

	return s->from == CAPTURE_FROM_SHADOW && !s->out.zstd && caps_has(c->caps, FACT_SPLICE) &&
	       caps_has(c->caps, FACT_VMSPLICE) && sys_fstat(c->sink->fd, &st) >= 0 &&
	       (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) &&
	       tracer_run(c->tracer, stream_drain, s) >= 0;
}

int stream_write(struct capture *c, enum capture_from from)
{
	struct stream s = { .c = c, .from = from };
	int r = out_open(&s.out, c->sink->fd, c->o->flags & DECANT_CAPTURE_ZSTD, &c->err);

	if (r < 0)
		return r;
	s.out.tick = stream_tick;
	s.out.tick_arg = &s;
	s.buffer = sys_malloc(OUT_CHUNK);
	s.draining = stream_can_drain(&s);
	r = s.buffer ? capture_keep_fixed(c) : capture_fail(c, -ENOMEM, "stream");
	keep_sort(&c->keep);
	if (r >= 0)
		r = stream_head(&s);
	if (r >= 0)
		r = stream_parts(&s);
	if (r >= 0)
		r = out_end(&s.out, &c->err);
	c->report->file_bytes = s.out.bytes;
	if (s.draining)
		drain_close(&s.drain);
	free(s.buffer);
	out_close(&s.out);
	return r;
}
