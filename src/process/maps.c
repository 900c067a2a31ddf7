/* SPDX-License-Identifier: MIT */
#include "process/maps.h"

#include <errno.h>
#include <string.h>

#include "process/target.h"
#include "sys/sys.h"

/* The kernel gives one page of text at a time, however large the buffer. */
#define MAPS_CHUNK 16384

/* What of the flags is told by plain maps, and so need not be taken over. */
#define MAPS_SAME (VMA_READ | VMA_WRITE | VMA_EXEC | VMA_SHARED | VMA_FILE | VMA_SPECIAL | \
		   VMA_STACK | VMA_HEAP)
#define MAPS_LEARNT (VMA_KNOWN | VMA_DONTDUMP | VMA_DONTFORK | VMA_WIPEONFORK | VMA_HUGETLB | \
		     VMA_IO | VMA_UFFD | VMA_ANON)

void maps_free(struct maps *m)
{
	free(m->v);
	buf_free(&m->names);
	buf_free(&m->text);
	*m = (struct maps)MAPS_INIT;
}

static int maps_read_text(int fd, struct buf *text)
{
	char chunk[MAPS_CHUNK];
	ssize_t n;

	buf_clear(text);
	do {
		n = sys_read(fd, chunk, sizeof(chunk));
		if (n < 0)
			return (int)n;
		buf_append(text, chunk, (size_t)n);
	} while (n > 0 && !text->error);
	if (text->error)
		return text->error;
	return text->len ? 0 : -ESRCH; /* its memory is gone */
}

int maps_read(const struct target *t, enum maps_how how, struct maps *ret, struct err *reterr)
{
	const char *name = how == MAPS_SMAPS ? "smaps" : "maps";
	_cleanup_close_ int fd = target_file(t, name, O_RDONLY);
	int r = fd;

	ret->n = 0;
	if (r >= 0)
		r = maps_read_text(fd, &ret->text);
	if (r >= 0)
		r = maps_parse(buf_str(&ret->text), how, ret);
	if (r == -ENOENT) /* its directory is empty now */
		r = -ESRCH;
	if (r < 0)
		return err_errno(reterr, r, "PID %d: %s", (int)t->pid, name);
	return 0;
}

/* ------------------------------------------------------------------- adopt */

static bool maps_are_alike(const struct vma *a, const struct vma *b)
{
	if ((a->flags & MAPS_SAME) != (b->flags & MAPS_SAME) || a->dev != b->dev ||
	    a->ino != b->ino)
		return false;
	return !(a->flags & VMA_FILE) || a->file_offset - a->start == b->file_offset - b->start;
}

/*
 * Those of old that overlap v: all must be alike (a mapping that grew, or that
 * was merged of several, is still the same), or v is a new one.
 */
static void maps_adopt_one(struct vma *v, const struct maps *old, size_t i)
{
	uint32_t flags = 0, page_size = 0;

	for (; i < old->n && old->v[i].start < v->end; i++) {
		if (!maps_are_alike(v, &old->v[i]) || !(old->v[i].flags & VMA_KNOWN))
			return;
		flags |= old->v[i].flags & MAPS_LEARNT;
		page_size = old->v[i].page_size;
	}
	if (!flags)
		return;
	v->flags |= flags;
	v->page_size = page_size;
}

void maps_adopt(struct maps *m, const struct maps *old)
{
	size_t i, at = 0;

	for (i = 0; i < m->n; i++) {
		while (at < old->n && old->v[at].end <= m->v[i].start)
			at++;
		if (!(m->v[i].flags & VMA_KNOWN))
			maps_adopt_one(&m->v[i], old, at);
	}
}

/* ----------------------------------------------------------------- looking */

const char *maps_name(const struct maps *m, const struct vma *v)
{
	return v->name < m->names.len ? m->names.data + v->name : "";
}

const struct vma *maps_find(const struct maps *m, uint64_t addr)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->v[mid].end > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low < m->n && m->v[low].start <= addr ? &m->v[low] : NULL;
}

uint64_t maps_bytes(const struct maps *m)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < m->n; i++)
		sum += m->v[i].end - m->v[i].start;
	return sum;
}
