/* SPDX-License-Identifier: MIT */
/* One pagemap, entry by entry. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "dump/chain.h"
#include "dump/names.h"
#include "dump/records.h"
#include "sys/sys.h"

/* An entry has 40 bytes; this is for those that have more than we know. */
#define MAP_RECORD_MAX (16u << 10)

struct chain_map {
	struct records records;
	const char *path;        /* of its level */
	char name[NAMES_MAX];
	int pages_fd;
	uint32_t pages_id;
	uint64_t pages_bytes;
	uint64_t offset;         /* of the next PRESENT page */
	uint64_t entries;
	bool lost;               /* where the next record begins is not known */
};

static int map_head(struct chain_map *m, struct err *e)
{
	const void *body;
	size_t len;
	int r = records_next(&m->records, &body, &len, e);

	if (r == 0)
		return err_set(e, -EBADMSG, "has no head");
	return r < 0 ? r : criu_get_head(body, len, &m->pages_id, e);
}

static int map_pages(struct chain_map *m, int dir_fd, struct err *e)
{
	char name[NAMES_MAX];

	names_pages(name, m->pages_id);
	m->pages_fd = records_open_file(dir_fd, name, &m->pages_bytes);
	if (m->pages_fd >= 0)
		return 0;
	if (m->pages_fd == -ENOENT) {
		m->pages_fd = -1;
		return 0;
	}
	if (m->pages_fd == -EBADMSG || m->pages_fd == -ELOOP)
		return err_set(e, -EBADMSG, "%s: is no regular file", name);
	return err_errno(e, m->pages_fd, "%s", name);
}

int chain_map_open(struct chain_map **ret, const struct chain *c, unsigned level,
		   enum dir_kind kind, uint64_t id, struct err *reterr)
{
	const struct chain_level *l = &c->levels[level];
	struct chain_map *m = sys_calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(reterr, -ENOMEM, "%s: out of memory", l->path);
	m->path = l->path;
	m->pages_fd = -1;
	names_pagemap(m->name, kind, id);
	r = records_open(&m->records, l->fd, m->name, CRIU_PAGEMAP, MAP_RECORD_MAX, reterr);
	if (r < 0) {
		free(m);
		return r == -ENOENT ? err_errno(reterr, r, "%s: no pages of it", l->path) :
				      err_wrap(reterr, r, "%s", l->path);
	}
	r = map_head(m, reterr);
	if (r == 0)
		r = map_pages(m, l->fd, reterr);
	if (r < 0) {
		(void)err_wrap(reterr, r, "%s/%s", l->path, m->name);
		chain_map_close(m);
		return r;
	}
	*ret = m;
	return 0;
}

int chain_map_next(struct chain_map *m, struct criu_entry *ret, uint64_t *ret_offset,
		   struct err *reterr)
{
	uint64_t offset = m->offset;
	struct criu_entry e;
	const void *body;
	size_t len;
	int r = m->lost ? 0 : records_next(&m->records, &body, &len, reterr);

	if (r == 0)
		return 0;
	m->lost = r < 0;
	if (r == 1)
		r = criu_get_entry(body, len, &e, reterr);
	if (r == 0 && ++m->entries > CRIU_ENTRIES_MAX)
		r = err_set(reterr, -EFBIG, "more than %" PRIu64 " entries", CRIU_ENTRIES_MAX);
	if (r == 0 && e.flags & CRIU_PRESENT &&
	    (!checked_add(offset, e.nr_pages * CRIU_PAGE, &m->offset) || m->offset > INT64_MAX))
		r = err_set(reterr, -EBADMSG, "%#" PRIx64 ": more pages than a file can hold",
			    e.vaddr);
	if (r < 0)
		return err_wrap(reterr, r, "%s/%s", m->path, m->name);
	*ret = e;
	*ret_offset = offset;
	return 1;
}

uint32_t chain_map_pages_id(const struct chain_map *m)
{
	return m->pages_id;
}

int chain_map_pages_fd(const struct chain_map *m)
{
	return m->pages_fd;
}

uint64_t chain_map_pages_bytes(const struct chain_map *m)
{
	return m->pages_bytes;
}

void chain_map_close(struct chain_map *m)
{
	if (!m)
		return;
	records_close(&m->records);
	if (m->pages_fd >= 0)
		(void)sys_close(m->pages_fd);
	free(m);
}
