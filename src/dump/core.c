/* SPDX-License-Identifier: MIT */
#include "dump/core.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "dump/note.h"
#include "dump/pour.h"
#include "image/core.h"
#include "sys/sys.h"

/* Pieces of mapped files with other mappings' pages between: more would be no core to work with. */
#define CORE_PLACES_MAX (1u << 18)

struct core_map {
	uint64_t start, end, file_offset, shmid;
	uint32_t flags;
	bool seen;               /* has pages in the image */
};

struct core {
	const struct chain *chain;
	struct core_map *maps;
	size_t n, size, at;      /* at: pages ascend, and so do mappings */
	struct buf notes;
	struct core_layout layout;
	struct pour pour;
	struct core_report *report;
	int fd;
	struct err *err;
};

/* ------------------------------------------------------------------- notes */

static int core_add(struct core *c, const struct criu_mapping *m)
{
	struct core_map *v;

	if (c->n == c->size) {
		size_t size = c->size ? 2 * c->size : 64;

		v = sys_realloc(c->maps, size * sizeof(*v));
		if (!v)
			return err_set(c->err, -ENOMEM, "core: out of memory");
		c->maps = v;
		c->size = size;
	}
	c->maps[c->n++] = (struct core_map){
		.start = m->start, .end = m->end, .file_offset = m->file_offset,
		.shmid = m->shmid, .flags = m->flags,
	};
	return 0;
}

static int core_read_note(struct core *c, uint64_t pid)
{
	struct criu_note n;
	struct note note;
	int r = note_open(&note, c->chain, 0, pid, c->err);

	if (r == -ENOENT)
		return err_set(c->err, -ENODATA, "%s: no decant-%" PRIu64 ".img: only what "
			       "`decant predump --final` wrote has registers",
			       c->chain->levels[0].path, pid);
	if (r < 0)
		return r;
	if (note.head.machine != arch_elf_machine)
		r = err_set(c->err, -ENOTSUP, "%s: of another architecture (%u)", note.name,
			    note.head.machine);
	while (r == 0 && (r = note_next(&note, &n, c->err)) == 1) {
		r = 0;
		if (n.kind == CRIU_NOTE_MAPPING)
			r = core_add(c, &n.mapping);
		else
			buf_append(&c->notes, n.elf, n.elf_len);
	}
	note_close(&note);
	if (r == 0 && c->notes.error)
		r = err_errno(c->err, c->notes.error, "core: its notes");
	return r;
}

/* ------------------------------------------------------------------- pages */

/* What of an image is in the file: all of private memory, of a mapped file only what is there. */
static int core_place(struct core *c, struct core_map *m, uint64_t start, uint64_t end)
{
	int r;

	if (!(m->flags & CRIU_MAP_FILE)) {
		start = m->start;
		end = m->end;
		if (m->seen)
			return 0;
	}
	m->seen = true;
	r = core_layout_place(&c->layout, start, end);
	if (r == 0 && c->layout.n > CORE_PLACES_MAX)
		r = -EFBIG;
	return r < 0 ? err_errno(c->err, r, "core: the memory at %#" PRIx64, start) : 0;
}

/* Addresses [start, end) of one mapping, at fd's offset. */
static int core_put(struct core *c, struct core_map *m, uint64_t start, uint64_t end, int fd,
		    uint64_t offset)
{
	uint64_t len = 0, to;
	int r = core_place(c, m, start, end);

	for (; r == 0 && start < end; start += len, offset += len) {
		to = core_layout_offset(&c->layout, start, &len);
		if (to == UINT64_MAX)
			return err_set(c->err, -EFBIG, "core: %#" PRIx64 " has no place", start);
		len = min_u64(len, end - start);
		c->report->pages += len / CRIU_PAGE;
		r = pour_add(&c->pour, fd, offset, len, to, c->err);
	}
	return r;
}

static int core_piece(struct core *c, struct chain_piece p)
{
	int r = 0;

	while (p.start < p.end && r == 0) {
		struct core_map *m;
		uint64_t skip, end;

		while (c->at < c->n && c->maps[c->at].end <= p.start)
			c->at++;
		m = &c->maps[c->at];
		skip = c->at == c->n ? p.end - p.start :
		       m->start > p.start ? min_u64(p.end, m->start) - p.start : 0;
		c->report->stray_pages += skip / CRIU_PAGE;
		p.start += skip;
		p.offset += skip;
		if (skip)
			continue;
		end = min_u64(p.end, m->end);
		if (p.fd >= 0)
			r = core_put(c, m, p.start, end, p.fd, p.offset);
		p.offset += end - p.start;
		p.start = end;
	}
	return r;
}

static int core_private(struct core *c, uint64_t pid)
{
	struct chain_walk *w = NULL;
	struct chain_piece p;
	int r = chain_walk_open(&w, c->chain, DIR_PROCESS, pid, c->err);

	while (r >= 0 && (r = chain_walk_next(w, &p, c->err)) == 1)
		r = core_piece(c, p);
	if (r == 0)
		r = pour_flush(&c->pour, c->err);
	chain_walk_close(w);
	return r;
}

/* A mapping of shared memory, whose pages are those of the object. */
static int core_shared(struct core *c, struct core_map *m)
{
	uint64_t low = m->file_offset, high;
	struct chain_walk *w = NULL;
	struct chain_piece p;
	int r;

	if (!checked_add(low, m->end - m->start, &high))
		return err_set(c->err, -EBADMSG, "core: %#" PRIx64 ": its offset", m->start);
	r = chain_walk_open(&w, c->chain, DIR_SHMEM, m->shmid, c->err);
	if (r == -ENOENT)
		return 0;
	while (r >= 0 && (r = chain_walk_next(w, &p, c->err)) == 1) {
		uint64_t start = max_u64(p.start, low), end = min_u64(p.end, high);

		if (start < end && p.fd >= 0)
			r = core_put(c, m, m->start + (start - low), m->start + (end - low), p.fd,
				     p.offset + (start - p.start));
	}
	if (r == 0)
		r = pour_flush(&c->pour, c->err);
	chain_walk_close(w);
	return r;
}

/* ----------------------------------------------------------------- headers */

static int core_write(struct core *c, const struct buf *b, uint64_t at)
{
	size_t done = 0;

	while (done < b->len) {
		ssize_t n = sys_pwrite(c->fd, b->data + done, b->len - done, at + done);

		if (n <= 0)
			return err_errno(c->err, n < 0 ? (int)n : -EIO, "core: writing");
		done += (size_t)n;
	}
	return 0;
}

static struct core_segment *core_segments(const struct core *c)
{
	struct core_segment *v = sys_calloc(c->n + 1, sizeof(*v));

	for (size_t i = 0; v && i < c->n; i++) {
		const struct core_map *m = &c->maps[i];

		v[i] = (struct core_segment){
			.start = m->start, .end = m->end,
			.file_bytes = m->seen ? m->end - m->start : 0,
			.flags = (m->flags & CRIU_MAP_READ ? PF_R : 0u) |
				 (m->flags & CRIU_MAP_WRITE ? PF_W : 0u) |
				 (m->flags & CRIU_MAP_EXEC ? PF_X : 0u),
		};
	}
	return v;
}

static int core_finish(struct core *c)
{
	struct buf head = BUF_INIT, tail = BUF_INIT;
	struct core_segment *v = core_segments(c);
	int r = v ? core_head(&c->layout, v, c->n, &c->notes, &head, &tail, c->err) :
		    err_set(c->err, -ENOMEM, "core: out of memory");

	free(v);
	buf_free(&c->notes);
	if (r == 0)
		r = core_write(c, &head, 0);
	if (r == 0)
		r = core_write(c, &tail, c->layout.file_end);
	c->report->file_bytes = c->layout.file_end + tail.len;
	if (r == 0 && (r = sys_ftruncate(c->fd, c->report->file_bytes)) < 0)
		r = err_errno(c->err, r, "core: its length");
	buf_free(&head);
	buf_free(&tail);
	return r;
}

/* Memory that was written to at no time, or emptied: all of it reads as zeros. */
static int core_empty(struct core *c)
{
	int r = 0;

	for (size_t i = 0; i < c->n && r == 0; i++) {
		struct core_map *m = &c->maps[i];

		if (m->flags & CRIU_MAP_WRITE && !(m->flags & CRIU_MAP_FILE))
			r = core_place(c, m, m->start, m->end);
	}
	return r;
}

static int core_all(struct core *c, uint64_t pid)
{
	int r = core_read_note(c, pid);

	if (r == 0 && (r = core_layout_begin(&c->layout, c->n, 0, c->notes.len)) < 0)
		r = err_errno(c->err, r, "core: its headers");
	if (r == 0)
		r = core_private(c, pid);
	for (size_t i = 0; i < c->n && r == 0; i++)
		if (c->maps[i].flags & CRIU_MAP_SHMEM)
			r = core_shared(c, &c->maps[i]);
	if (r == 0)
		r = core_empty(c);
	return r == 0 ? core_finish(c) : r;
}

int core_from_chain(struct decant *d, const struct chain *chain, uint64_t pid, int fd,
		    struct core_report *ret, struct err *reterr)
{
	struct core c = {
		.chain = chain, .fd = fd, .report = ret, .err = reterr,
		.layout = CORE_LAYOUT_INIT,
	};
	int r;

	*ret = (struct core_report){ 0 };
	r = pour_open(&c.pour, d, fd, reterr);
	if (r == 0)
		r = core_all(&c, pid);
	ret->mappings = c.n;
	ret->copied_bytes = c.pour.copied_bytes;
	pour_close(&c.pour);
	core_layout_free(&c.layout);
	buf_free(&c.notes);
	free(c.maps);
	return r;
}
