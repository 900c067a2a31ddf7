/* SPDX-License-Identifier: MIT */
/* Magics, records, and those of pagemaps, inventory and statistics. */
#include "image/criu.h"

#include <errno.h>
#include <inttypes.h>

#include "base/checked.h"
#include "base/le.h"
#include "image/criu.pb-c.h"
#include "image/criu_pack.h"

#define CRIU_COMMON_MAGIC 0x54564319u
#define CRIU_SERVICE_MAGIC 0x55105940u
#define CRIU_RECORD_HEAD 4
#define CRIU_VERSION_MAX 3
#define CRIU_VERSION_OURS 2
/* What one entry may need to be unpacked; what an inventory, with what we do not know of it. */
#define CRIU_ENTRY_ARENA (16u << 10)
#define CRIU_INVENTORY_ARENA (64u << 10)

static const struct {
	uint32_t first, second;  /* 0: there is none */
	const char *what;
} criu_magics[] = {
	[CRIU_INVENTORY] = { 0x58313116u, 0, "inventory" },
	[CRIU_PAGEMAP] = { CRIU_COMMON_MAGIC, 0x56084025u, "pagemap" },
	[CRIU_STATS] = { CRIU_SERVICE_MAGIC, 0x57093306u, "statistics" },
	[CRIU_NOTE] = { CRIU_COMMON_MAGIC, 0xdeca0002u, "note" },
};

/* ------------------------------------------------------ magics and records */

void criu_put_magic(struct buf *ret, enum criu_kind kind)
{
	unsigned char text[CRIU_MAGIC_MAX];

	le32_store(text, criu_magics[kind].first);
	le32_store(text + 4, criu_magics[kind].second);
	buf_append(ret, text, criu_magics[kind].second ? 8 : 4);
}

int criu_get_magic(enum criu_kind kind, const void *data, size_t len, struct err *reterr)
{
	const unsigned char *p = data;
	size_t need = criu_magics[kind].second ? 8 : 4;

	if (len < need)
		return 0;
	if (le32_load(p) != criu_magics[kind].first ||
	    (need == 8 && le32_load(p + 4) != criu_magics[kind].second))
		return err_set(reterr, -EBADMSG, "is no %s of CRIU's (magic %08x)",
			       criu_magics[kind].what, le32_load(p + need - 4));
	return (int)need;
}

int64_t criu_get_record(const void *data, size_t len, const void **ret_body, size_t *ret_len,
			struct err *reterr)
{
	uint32_t body;

	*ret_len = 0;
	if (len < CRIU_RECORD_HEAD)
		return 0;
	body = le32_load(data);
	if (body > CRIU_RECORD_MAX)
		return err_set(reterr, -EBADMSG, "a record of %" PRIu32 " bytes: more than %u",
			       body, CRIU_RECORD_MAX);
	*ret_len = body;
	if (len - CRIU_RECORD_HEAD < body)
		return 0;
	*ret_body = (const unsigned char *)data + CRIU_RECORD_HEAD;
	return CRIU_RECORD_HEAD + (int64_t)body;
}

/* ---------------------------------------------------------------- pagemaps */

void criu_put_head(struct buf *ret, uint32_t pages_id)
{
	Criu__Head m = CRIU__HEAD__INIT;

	m.pages_id = pages_id;
	criu_pack(ret, &m.base);
}

int criu_get_head(const void *body, size_t len, uint32_t *ret_pages_id, struct err *reterr)
{
	CRIU_ARENA(arena, CRIU_ENTRY_ARENA);
	const Criu__Head *m;
	int r = 0;

	m = criu_unpack(&criu__head__descriptor, &arena, body, len, "its head", &r, reterr);
	if (m)
		*ret_pages_id = m->pages_id;
	return r;
}

void criu_put_entry(struct buf *ret, const struct criu_entry *e)
{
	Criu__Entry m = CRIU__ENTRY__INIT;

	m.vaddr = e->vaddr;
	m.compat_nr_pages = (uint32_t)min_u64(e->nr_pages, UINT32_MAX);
	m.has_flags = true;
	m.flags = e->flags;
	m.has_nr_pages = true;
	m.nr_pages = e->nr_pages;
	criu_pack(ret, &m.base);
}

/* As CRIU takes what older versions wrote. */
static uint32_t criu_entry_flags(const Criu__Entry *m)
{
	uint32_t flags = m->has_flags ? m->flags : 0;

	if (m->has_in_parent && m->in_parent)
		return flags | CRIU_PARENT;
	return m->has_flags ? flags : CRIU_PRESENT;
}

static int criu_check_entry(const struct criu_entry *e, struct err *reterr)
{
	const uint32_t known = CRIU_PRESENT | CRIU_PARENT | CRIU_LAZY;
	uint64_t bytes, end;

	if (e->flags & ~known)
		return err_set(reterr, -ENOTSUP, "%#" PRIx64 ": flags %#x are not known here",
			       e->vaddr, e->flags);
	if (!e->flags || (e->flags & CRIU_PRESENT && e->flags & CRIU_PARENT))
		return err_set(reterr, -EBADMSG, "%#" PRIx64 ": %s", e->vaddr,
			       e->flags ? "both present and in the parent" :
					  "neither present, lazy nor in the parent");
	if (e->vaddr % CRIU_PAGE)
		return err_set(reterr, -EBADMSG, "%#" PRIx64 ": is no page's address", e->vaddr);
	if (!e->nr_pages)
		return err_set(reterr, -EBADMSG, "%#" PRIx64 ": no pages", e->vaddr);
	if (!checked_mul(e->nr_pages, CRIU_PAGE, &bytes) || !checked_add(e->vaddr, bytes, &end) ||
	    end > CRIU_ADDRESS_MAX)
		return err_set(reterr, -EBADMSG, "%#" PRIx64 ": %" PRIu64 " pages are too many",
			       e->vaddr, e->nr_pages);
	return 0;
}

int criu_get_entry(const void *body, size_t len, struct criu_entry *ret, struct err *reterr)
{
	CRIU_ARENA(arena, CRIU_ENTRY_ARENA);
	struct criu_entry e;
	const Criu__Entry *m;
	int r = 0;

	m = criu_unpack(&criu__entry__descriptor, &arena, body, len, "an entry", &r, reterr);
	if (!m)
		return r;
	e = (struct criu_entry){
		.vaddr = m->vaddr,
		.nr_pages = m->has_nr_pages ? m->nr_pages : m->compat_nr_pages,
		.flags = criu_entry_flags(m),
	};
	if (m->has_blocks)
		return err_set(reterr, -ENOTSUP, "%#" PRIx64 ": compressed pages are not known "
			       "here", e.vaddr);
	r = criu_check_entry(&e, reterr);
	if (r == 0)
		*ret = e;
	return r;
}

/* ------------------------------------------------ inventory and statistics */

void criu_put_inventory(struct buf *ret, const struct criu_inventory *i)
{
	Criu__Inventory m = CRIU__INVENTORY__INIT;

	m.img_version = i->img_version ? i->img_version : CRIU_VERSION_OURS;
	m.has_fdinfo_per_id = m.fdinfo_per_id = i->fdinfo_per_id;
	m.has_dump_uptime = i->dump_uptime_us != 0;
	m.dump_uptime = i->dump_uptime_us;
	m.has_pre_dump_mode = i->pre_dump_mode != 0;
	m.pre_dump_mode = i->pre_dump_mode;
	criu_pack(ret, &m.base);
}

int criu_get_inventory(const void *body, size_t len, struct criu_inventory *ret,
		       struct err *reterr)
{
	CRIU_ARENA(arena, CRIU_INVENTORY_ARENA);
	const Criu__Inventory *m;
	int r = 0;

	m = criu_unpack(&criu__inventory__descriptor, &arena, body, len, "inventory", &r, reterr);
	if (!m)
		return r;
	if (m->img_version > CRIU_VERSION_MAX)
		return err_set(reterr, -ENOTSUP, "inventory: version %u is not known here",
			       m->img_version);
	*ret = (struct criu_inventory){
		.img_version = m->img_version,
		.fdinfo_per_id = m->has_fdinfo_per_id && m->fdinfo_per_id,
		.dump_uptime_us = m->has_dump_uptime ? m->dump_uptime : 0,
		.pre_dump_mode = m->has_pre_dump_mode ? m->pre_dump_mode : 0,
	};
	return 0;
}

void criu_put_stats(struct buf *ret, const struct criu_stats *s)
{
	Criu__DumpStats d = CRIU__DUMP_STATS__INIT;
	Criu__Stats m = CRIU__STATS__INIT;

	d.freezing_time = s->freezing_us;
	d.frozen_time = s->frozen_us;
	d.memdump_time = s->memdump_us;
	d.memwrite_time = s->memwrite_us;
	d.pages_scanned = s->pages_scanned;
	d.pages_skipped_parent = s->pages_skipped_parent;
	d.pages_written = s->pages_written;
	d.pages_lazy = s->pages_lazy;
	d.has_page_pipes = d.has_page_pipe_bufs = true;
	d.page_pipes = s->page_pipes;
	d.page_pipe_bufs = s->page_pipe_bufs;
	d.has_shpages_scanned = d.has_shpages_skipped_parent = d.has_shpages_written = true;
	d.shpages_scanned = s->shpages_scanned;
	d.shpages_skipped_parent = s->shpages_skipped_parent;
	d.shpages_written = s->shpages_written;
	m.dump = &d;
	criu_pack(ret, &m.base);
}

int criu_get_stats(const void *body, size_t len, struct criu_stats *ret, struct err *reterr)
{
	CRIU_ARENA(arena, CRIU_INVENTORY_ARENA);
	const Criu__DumpStats *d;
	const Criu__Stats *m;
	int r = 0;

	m = criu_unpack(&criu__stats__descriptor, &arena, body, len, "statistics", &r, reterr);
	if (!m)
		return r;
	d = m->dump;
	if (!d)
		return err_set(reterr, -EBADMSG, "statistics: of no dump");
	*ret = (struct criu_stats){
		.freezing_us = d->freezing_time, .frozen_us = d->frozen_time,
		.memdump_us = d->memdump_time, .memwrite_us = d->memwrite_time,
		.pages_scanned = d->pages_scanned,
		.pages_skipped_parent = d->pages_skipped_parent,
		.pages_written = d->pages_written, .pages_lazy = d->pages_lazy,
		/* 0 where they are not there. */
		.page_pipes = d->page_pipes, .page_pipe_bufs = d->page_pipe_bufs,
		.shpages_scanned = d->shpages_scanned,
		.shpages_skipped_parent = d->shpages_skipped_parent,
		.shpages_written = d->shpages_written,
	};
	return 0;
}
