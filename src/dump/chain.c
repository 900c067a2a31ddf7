/* SPDX-License-Identifier: MIT */
/* The directories: opening them, and which pagemaps each has. */
#include "dump/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump/names.h"
#include "dump/records.h"
#include "sys/proc.h"
#include "sys/sys.h"

#define CHAIN_INVENTORY_MAX (32u << 10)

static void chain_level_close(struct chain_level *l)
{
	if (l->fd >= 0)
		(void)sys_close(l->fd);
	free(l->path);
	free(l->parent);
}

static int chain_see_part(void *arg, const char *name)
{
	(void)arg;
	return names_parse(name).part;
}

static void chain_look(struct chain_level *l)
{
	struct records r = RECORDS_INIT;
	const void *body;
	size_t len;
	int n;

	l->unfinished = names_each(l->fd, chain_see_part, NULL) > 0;
	n = records_open(&r, l->fd, NAMES_INVENTORY, CRIU_INVENTORY, CHAIN_INVENTORY_MAX, NULL);
	l->complete = n != -ENOENT;
	if (n == 0)
		n = records_next(&r, &body, &len, NULL);
	if (n == 1)
		n = criu_get_inventory(body, len, &l->inventory, NULL);
	else if (n == 0)
		n = -EBADMSG;
	l->inventory_error = l->complete ? n : 0;
	records_close(&r);
}

/* Takes fd and path (NULL: out of memory). */
static int chain_push(struct chain *c, int fd, char *path, struct err *e)
{
	struct chain_level *v = sys_realloc(c->levels, (c->n + 1) * sizeof(*v));
	struct chain_level l = { .fd = fd, .path = path };
	struct stat st;
	int r = -ENOMEM;

	if (v)
		c->levels = v;
	if (v && path)
		r = sys_fstat(fd, &st);
	if (r < 0) {
		chain_level_close(&l);
		return err_errno(e, r, "images");
	}
	l.dev = st.st_dev;
	l.ino = st.st_ino;
	for (unsigned i = 0; i < c->n; i++) {
		if (c->levels[i].dev != l.dev || c->levels[i].ino != l.ino)
			continue;
		r = err_set(e, -ELOOP, "%s: is its own parent's parent: %s again", path,
			    c->levels[i].path);
		chain_level_close(&l);
		return r;
	}
	chain_look(&l);
	c->levels[c->n++] = l;
	return 0;
}

/* "A", "A/parent", "A/parent/parent"; beyond a few of them "A (+5)". */
static char *chain_path(const struct chain *c)
{
	const char *top = c->levels[0].path;
	char text[DIR_PATH_MAX];

	if (c->n < 4)
		(void)snprintf(text, sizeof(text), "%s/%s", c->levels[c->n - 1].path,
			       NAMES_PARENT);
	else
		(void)snprintf(text, sizeof(text), "%s (parent %u)", top, c->n);
	return sys_strdup(text);
}

/* 1: one more level; 0: that was the last. */
static int chain_next(struct chain *c, struct err *e)
{
	struct chain_level *l = &c->levels[c->n - 1];
	char text[DIR_PATH_MAX];
	int fd, r;

	r = (int)sys_readlinkat(l->fd, NAMES_PARENT, text, sizeof(text));
	if (r == -ENOENT)
		return 0;
	/* A directory in place of the link is as good to CRIU. */
	if (r == -EINVAL)
		(void)snprintf(text, sizeof(text), "%s", NAMES_PARENT);
	else if (r < 0)
		return err_errno(e, r, "%s/%s", l->path, NAMES_PARENT);
	l->parent = sys_strdup(text);
	if (!l->parent)
		return err_set(e, -ENOMEM, "%s: out of memory", l->path);
	if (c->n == CHAIN_LEVELS_MAX)
		return err_set(e, -EMLINK, "%s: more than %u parents", c->levels[0].path,
			       CHAIN_LEVELS_MAX);
	fd = sys_openat(l->fd, NAMES_PARENT, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(e, fd, "%s/%s -> %s", l->path, NAMES_PARENT, text);
	r = chain_push(c, fd, chain_path(c), e);
	return r < 0 ? r : 1;
}

int chain_open(struct chain *c, const char *path, struct err *broken, struct err *reterr)
{
	int r, fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	*c = (struct chain)CHAIN_INIT;
	if (fd < 0)
		return err_errno(reterr, fd, "%s", path);
	r = chain_push(c, fd, sys_strdup(path), reterr);
	if (broken)
		broken->text[0] = '\0';
	while (r == 0 && (r = chain_next(c, broken ? broken : reterr)) == 1)
		r = 0;
	/* The loop ends at 0 levels more, too. */
	if (r < 0 && c->n && broken && r != -ENOMEM)
		r = 0;
	if (r < 0)
		chain_close(c);
	return r;
}

void chain_close(struct chain *c)
{
	for (unsigned i = 0; i < c->n; i++)
		chain_level_close(&c->levels[i]);
	free(c->levels);
	*c = (struct chain)CHAIN_INIT;
}

/* ---------------------------------------------------------------- pagemaps */

int chain_has(const struct chain *c, unsigned level, enum dir_kind kind, uint64_t id)
{
	char name[NAMES_MAX];
	uint64_t bytes;
	int fd;

	names_pagemap(name, kind, id);
	fd = records_open_file(c->levels[level].fd, name, &bytes);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	(void)sys_close(fd);
	return 1;
}

struct chain_found {
	struct chain_id *v;
	size_t n, size;
};

static int chain_add(void *arg, const char *name)
{
	struct names_parsed p = names_parse(name);
	struct chain_found *f = arg;
	struct chain_id *v;

	if (p.part || (p.kind != NAMES_PAGEMAP && p.kind != NAMES_PAGEMAP_SHMEM))
		return 0;
	if (f->n == DIR_PAGES_MAX)
		return -EFBIG;
	if (f->n == f->size) {
		f->size = f->size ? 2 * f->size : 16;
		v = sys_realloc(f->v, f->size * sizeof(*v));
		if (!v)
			return -ENOMEM;
		f->v = v;
	}
	f->v[f->n++] = (struct chain_id){
		p.kind == NAMES_PAGEMAP_SHMEM ? DIR_SHMEM : DIR_PROCESS, p.id,
	};
	return 0;
}

static int chain_compare(const void *a, const void *b)
{
	const struct chain_id *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

int chain_ids(const struct chain *c, unsigned level, struct chain_id **ret, size_t *ret_n,
	      struct err *reterr)
{
	struct chain_found f = { NULL, 0, 0 };
	int r = names_each(c->levels[level].fd, chain_add, &f);

	if (r < 0) {
		free(f.v);
		return err_errno(reterr, r, "%s: reading it", c->levels[level].path);
	}
	if (f.n)
		qsort(f.v, f.n, sizeof(*f.v), chain_compare);
	*ret = f.v;
	*ret_n = f.n;
	return 0;
}
