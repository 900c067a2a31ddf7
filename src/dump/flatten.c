/* SPDX-License-Identifier: MIT */
#include "dump/flatten.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dump/names.h"
#include "dump/pour.h"
#include "dump/records.h"
#include "sys/name.h"
#include "sys/sys.h"

#define FLATTEN_BUFFER (256u << 10)
#define FLATTEN_INVENTORY_MAX (64u << 10)

struct flatten {
	struct decant *d;
	const struct chain *chain;
	struct dir *dir;
	struct flatten_report *report;
	uint32_t *old;           /* pages of level 0, in the order of its pagemaps */
	struct err *err;
};

/* ------------------------------------------------------------------ pages */

static int flatten_pieces(struct flatten *f, struct chain_walk *w, struct dir_pages *p,
			  struct pour *pour)
{
	struct chain_piece piece;
	uint64_t offset = 0;
	int r;

	while ((r = chain_walk_next(w, &piece, f->err)) == 1) {
		struct criu_entry e = {
			piece.start, (piece.end - piece.start) / CRIU_PAGE,
			piece.fd < 0 ? CRIU_LAZY : CRIU_PRESENT,
		};

		r = dir_pages_entry(p, &e, &offset, f->err);
		if (r == 0 && piece.fd >= 0) {
			f->report->pages += e.nr_pages;
			r = pour_add(pour, piece.fd, piece.offset, piece.end - piece.start,
				     offset, f->err);
		}
		if (r < 0)
			return r;
	}
	return r < 0 ? r : pour_flush(pour, f->err);
}

static int flatten_map(struct flatten *f, const struct chain_id *id, uint32_t *ret_old)
{
	struct chain_walk *w = NULL;
	struct dir_pages *p = NULL;
	struct pour pour;
	int r, end;

	r = chain_walk_open(&w, f->chain, id->kind, id->id, f->err);
	if (r < 0)
		return r;
	*ret_old = chain_walk_pages_id(w);
	r = dir_pages_begin(f->dir, id->kind, id->id, &p, f->err);
	if (r == 0) {
		r = pour_open(&pour, f->d, dir_pages_fd(p), f->err);
		if (r == 0)
			r = flatten_pieces(f, w, p, &pour);
		f->report->bytes += pour.bytes;
		f->report->copied_bytes += pour.copied_bytes;
		pour_close(&pour);
		end = dir_pages_end(p, r < 0 ? NULL : f->err);
		r = r < 0 ? r : end;
	}
	chain_walk_close(w);
	f->report->maps += r == 0;
	return r;
}

/* ------------------------------------------------------------ other files */

/* The inventory whole: that of a full dump says more than we know. */
static int flatten_inventory(struct flatten *f, int fd)
{
	char *data = sys_malloc(FLATTEN_INVENTORY_MAX);
	ssize_t n = data ? sys_pread(fd, data, FLATTEN_INVENTORY_MAX, 0) : -ENOMEM;
	int r = n < 0 ? (int)n : n == FLATTEN_INVENTORY_MAX ? -EFBIG : 0;

	if (r == 0)
		r = dir_set_inventory(f->dir, data, (size_t)n, f->err);
	else
		err_errno(f->err, r, "%s/" NAMES_INVENTORY, f->chain->levels[0].path);
	free(data);
	return r;
}

static int flatten_other(void *arg, const char *name)
{
	struct names_parsed parsed = names_parse(name);
	struct flatten *f = arg;
	struct buf b = BUF_INIT;
	_cleanup_close_ int fd = -1;
	char *data;
	uint64_t bytes, at = 0;
	int r = 0;

	if (parsed.part || parsed.kind == NAMES_PAGEMAP || parsed.kind == NAMES_PAGES ||
	    parsed.kind == NAMES_PAGEMAP_SHMEM || parsed.kind == NAMES_PARENT_LINK)
		return 0;
	fd = records_open_file(f->chain->levels[0].fd, name, &bytes);
	/* Sockets and directories are no part of an image. */
	if (fd == -EBADMSG || fd == -ELOOP || fd == -ENXIO)
		return 0;
	if (fd < 0)
		return err_errno(f->err, fd, "%s/%.60s", f->chain->levels[0].path, name);
	if (parsed.kind == NAMES_INVENTORY_IMG)
		return flatten_inventory(f, fd);
	data = sys_malloc(FLATTEN_BUFFER);
	if (!data)
		return err_set(f->err, -ENOMEM, "flatten: out of memory");
	do {
		ssize_t n = sys_pread(fd, data, FLATTEN_BUFFER, at);

		buf_clear(&b);
		if (n > 0)
			buf_append(&b, data, (size_t)n);
		r = n < 0 ? err_errno(f->err, (int)n, "%s/%.60s", f->chain->levels[0].path, name) :
			    dir_append(f->dir, name, &b, f->err);
		at += n > 0 ? (uint64_t)n : 0;
		bytes = n > 0 ? 1 : 0;
	} while (r == 0 && bytes);
	buf_free(&b);
	free(data);
	return r;
}

/* ---------------------------------------------------------------- in place */

/* The new pagemaps stand; what only the old ones needed goes. */
static int flatten_tidy(struct flatten *f, size_t n)
{
	int fd = f->chain->levels[0].fd, r = sys_unlinkat(fd, NAMES_PARENT, 0);
	char name[NAMES_MAX];

	r = r == -ENOENT ? 0 : r;
	for (size_t i = 0; i < n && r == 0; i++) {
		names_pages(name, f->old[i]);
		r = sys_unlinkat(fd, name, 0);
		r = r == -ENOENT ? 0 : r;
	}
	return r < 0 ? err_errno(f->err, r, "%s: removing what is no longer needed",
				 f->chain->levels[0].path) : 0;
}

int flatten_chain(struct decant *d, const struct chain *c, const char *to, uint32_t flags,
		  struct flatten_report *ret, struct err *reterr)
{
	struct dir_options options = { .flags = flags | (to ? 0 : (uint32_t)DIR_SHARED) };
	struct flatten f = { .d = d, .chain = c, .report = ret, .err = reterr };
	struct chain_id *ids = NULL;
	size_t n = 0;
	int r;

	*ret = (struct flatten_report){ 0 };
	r = chain_ids(c, 0, &ids, &n, reterr);
	if (r == 0 && n == 0)
		r = err_set(reterr, -ENODATA, "%s: there are no images", c->levels[0].path);
	f.old = sys_calloc(n + 1, sizeof(*f.old));
	if (r == 0 && !f.old)
		r = err_set(reterr, -ENOMEM, "flatten: out of memory");
	if (r == 0)
		r = dir_begin(&f.dir, to ? to : c->levels[0].path, &options, reterr);
	for (size_t i = 0; i < n && r == 0; i++)
		r = flatten_map(&f, &ids[i], &f.old[i]);
	if (r == 0 && to)
		r = names_each(c->levels[0].fd, flatten_other, &f);
	if (r == 0)
		r = dir_commit(f.dir, NULL, NULL, reterr);
	dir_close(f.dir);
	if (r == 0 && !to)
		r = flatten_tidy(&f, n);
	free(f.old);
	free(ids);
	return r;
}
