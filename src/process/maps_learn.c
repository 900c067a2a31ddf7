/* SPDX-License-Identifier: MIT */
/* All that can be known of mappings, the way that holds the target up least. */
#include <errno.h>
#include <string.h>

#include "caps/vma_iter.h"
#include "process/maps.h"
#include "process/target.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "uapi/procmap.h"

/* smaps of less takes a millisecond at most, and the other way some to begin with. */
#define LEARN_RSS_KIB (64u << 10)

static uint32_t learn_flags(const struct vma_bits *b, const struct vma *v,
			    const struct vma_record *r)
{
	return VMA_KNOWN | (r->flags & b->dontdump ? VMA_DONTDUMP : 0) |
	       (r->flags & b->dontfork ? VMA_DONTFORK : 0) |
	       (r->flags & b->wipeonfork ? VMA_WIPEONFORK : 0) |
	       (r->flags & b->io ? VMA_IO : 0) |
	       (b->hugetlb && (r->flags & b->hugetlb) == b->hugetlb ? VMA_HUGETLB : 0) |
	       (r->uffd ? VMA_UFFD : 0) |
	       (r->anon_vma && !(v->flags & VMA_SHARED) ? VMA_ANON : 0);
}

void maps_take_records(struct maps *m, const struct vma_bits *bits, const void *records,
		       size_t len)
{
	struct vma_record rec = { 0 };
	size_t at = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct vma *v = &m->v[i];

		while (rec.end <= v->start && at + sizeof(rec) <= len) {
			memcpy(&rec, (const char *)records + at, sizeof(rec));
			at += sizeof(rec);
		}
		/* Else it has changed since; but [vsyscall] is in no list. */
		if (rec.start <= v->start && rec.end >= v->end)
			v->flags |= learn_flags(bits, v, &rec);
		else if (v->flags & VMA_SPECIAL)
			v->flags |= VMA_KNOWN;
	}
}

/* Pages of hugetlb have several sizes. */
static int learn_page_sizes(const struct target *t, struct maps *m)
{
	_cleanup_close_ int fd = -1;

	for (size_t i = 0; i < m->n; i++) {
		struct uapi_procmap_query q = { .size = sizeof(q) };
		int r;

		if (!(m->v[i].flags & VMA_HUGETLB))
			continue;
		if (fd < 0)
			fd = target_file(t, "maps", O_RDONLY);
		q.query_addr = m->v[i].start;
		r = fd < 0 ? fd : sys_procmap_query(fd, &q);
		if (r < 0)
			return r;
		m->v[i].page_size = (uint32_t)q.vma_page_size;
	}
	return 0;
}

/* Anything negative: the other way, then. */
static int learn_from_list(const struct target *t, struct maps *ret)
{
	struct buf records = BUF_INIT;
	struct vma_iter iter;
	struct err err;
	int r;

	if (t->status.vm_rss_kib < LEARN_RSS_KIB || caps_masked(t->caps, FACT_VMA_LIST))
		return -ENOTSUP;
	r = vma_iter_open(&iter, &err);
	if (r < 0)
		return r;
	r = maps_read(t, MAPS_PLAIN, ret, &err);
	if (r >= 0)
		r = vma_iter_read(&iter, t->live, &records);
	if (r >= 0 && records.len == 0)
		r = -ESRCH;
	if (r >= 0) {
		maps_take_records(ret, &iter.bits, records.data, records.len);
		r = learn_page_sizes(t, ret);
	}
	vma_iter_close(&iter);
	buf_free(&records);
	return r;
}

int maps_learn(const struct target *t, struct maps *ret, struct err *reterr)
{
	return learn_from_list(t, ret) >= 0 ? 0 : maps_read(t, MAPS_SMAPS, ret, reterr);
}
