/* SPDX-License-Identifier: MIT */
#include "lib/chains.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/le.h"
#include "lib/kit.h"

void chains_init(struct chains *c)
{
	memset(c, 0, sizeof(*c));
	c->next = 1;
	for (unsigned i = 0; i < 6; i++)
		chains_live(c);
}

static void chains_write(struct chains *c, unsigned at, unsigned n, bool there)
{
	for (; n && at < CHAINS_PAGES; n--, at++) {
		c->tag[at] = there ? c->next++ : 0;
		c->dirty[at] = true;
	}
}

void chains_live(struct chains *c)
{
	switch (kit_random() % 5) {
	case 0:
		return;
	case 1:
		for (unsigned i = 0; i < 200; i++)
			chains_write(c, kit_random() % CHAINS_PAGES, 1, kit_random() % 4);
		return;
	case 2:
		chains_write(c, kit_random() % CHAINS_PAGES, kit_random() % CHAINS_PAGES, false);
		return;
	default:
		for (unsigned i = 0; i < 8; i++)
			chains_write(c, kit_random() % CHAINS_PAGES, kit_random() % 200,
				     kit_random() % 8);
	}
}

void chains_page(uint32_t tag, unsigned char ret[4096])
{
	memset(ret, 0, 4096);
	/* Some pages are full of zeros and there nevertheless. */
	if (tag == 0 || tag % 16 == 0)
		return;
	for (unsigned i = 0; i < 4096; i += 4)
		le32_store(ret + i, tag * 2654435761u + i);
}

uint32_t chains_tag(const unsigned char page[4096])
{
	/* The inverse of 2654435761 modulo 2^32. */
	uint32_t tag = le32_load(page) * 244002641u;
	unsigned char again[4096];

	chains_page(tag, again);
	return memcmp(page, again, 4096) == 0 ? tag : 0;
}

/* ---------------------------------------------------------------- dumping */

static void chains_must(int r, const struct err *e)
{
	if (r < 0)
		kit_die("chains: %s", e->text);
}

static void chains_pages(struct chains *c, struct dir_pages *p, bool parent)
{
	unsigned char page[4096];
	struct err e = { "" };

	for (unsigned i = 0; i < CHAINS_PAGES; i++) {
		struct criu_entry entry = { CHAINS_BASE + i * UINT64_C(4096), 1, CRIU_PARENT };

		if (!c->tag[i])
			continue;
		if (parent && !c->dirty[i]) {
			chains_must(dir_pages_entry(p, &entry, NULL, &e), &e);
			continue;
		}
		chains_page(c->tag[i], page);
		chains_must(dir_pages_put(p, entry.vaddr, 1, page, &e), &e);
	}
}

/* A record by hand, with the fields that old versions had. */
static void chains_old_record(FILE *f, const struct criu_entry *e)
{
	unsigned char text[32] = { 0x08 };
	unsigned n = 1;

	for (uint64_t v = e->vaddr; n == 1 || v; v >>= 7) {
		text[n++] = (unsigned char)((v & 127) | (v > 127 ? 128 : 0));
		if (v <= 127)
			break;
	}
	text[n++] = 0x10;
	for (uint64_t v = e->nr_pages;; v >>= 7) {
		text[n++] = (unsigned char)((v & 127) | (v > 127 ? 128 : 0));
		if (v <= 127)
			break;
	}
	if (e->flags & CRIU_PARENT) {
		text[n++] = 0x18;
		text[n++] = 1;
	}
	(void)fwrite((unsigned char[4]){ (unsigned char)n }, 1, 4, f);
	(void)fwrite(text, 1, n, f);
}

/* The same entries again, as CRIU before 4.2 wrote them. */
static void chains_make_old(const char *path, uint64_t pid)
{
	struct chain c = CHAIN_INIT;
	struct chain_map *m = NULL;
	struct buf b = BUF_INIT;
	struct criu_entry entry;
	struct err e = { "" };
	char name[4200];
	uint64_t offset;
	FILE *f;

	(void)snprintf(name, sizeof(name), "%s/old", path);
	f = fopen(name, "w");
	if (!f)
		kit_die("%s: %m", name);
	chains_must(chain_open(&c, path, NULL, &e), &e);
	chains_must(chain_map_open(&m, &c, 0, DIR_PROCESS, pid, &e), &e);
	criu_put_magic(&b, CRIU_PAGEMAP);
	criu_put_head(&b, chain_map_pages_id(m));
	(void)fwrite(b.data, 1, b.len, f);
	while (chain_map_next(m, &entry, &offset, &e) == 1)
		chains_old_record(f, &entry);
	(void)fclose(f);
	chain_map_close(m);
	chain_close(&c);
	buf_free(&b);
	kit_sh("mv %s/old %s/pagemap-%" PRIu64 ".img", path, path, pid);
}

void chains_round(struct chains *c, const char *path, const char *parent, uint64_t pid, bool old)
{
	struct criu_inventory inventory = { .dump_uptime_us = 1, .pre_dump_mode = 2 };
	struct dir_options options = { .parent = parent };
	struct criu_stats stats = { .pages_scanned = CHAINS_PAGES };
	struct dir_pages *p = NULL;
	struct dir *d = NULL;
	struct err e = { "" };

	chains_must(dir_begin(&d, path, &options, &e), &e);
	chains_must(dir_pages_begin(d, DIR_PROCESS, pid, &p, &e), &e);
	chains_pages(c, p, parent != NULL);
	chains_must(dir_pages_end(p, &e), &e);
	chains_must(dir_commit(d, &inventory, &stats, &e), &e);
	dir_close(d);
	memset(c->dirty, 0, sizeof(c->dirty));
	if (old)
		chains_make_old(path, pid);
}

/* ---------------------------------------------------------------- reading */

static unsigned chains_wrong_piece(const struct chains *c, const struct chain_piece *p,
				   bool *seen)
{
	unsigned wrong = 0;

	for (uint64_t at = p->start; at < p->end; at += 4096) {
		uint64_t i = (at - CHAINS_BASE) / 4096;
		unsigned char got[4096], want[4096];

		if (at < CHAINS_BASE || i >= CHAINS_PAGES || seen[i] || !c->tag[i] || p->fd < 0) {
			wrong++;
			continue;
		}
		seen[i] = true;
		chains_page(c->tag[i], want);
		wrong += pread(p->fd, got, 4096, (off_t)(p->offset + (at - p->start))) != 4096 ||
			 memcmp(got, want, 4096) != 0;
	}
	return wrong;
}

unsigned chains_wrong(const struct chains *c, const char *path, uint64_t pid)
{
	bool seen[CHAINS_PAGES] = { false };
	struct chain chain = CHAIN_INIT;
	struct chain_walk *w = NULL;
	struct chain_piece p;
	struct err e = { "" };
	unsigned wrong = 0;
	int r = chain_open(&chain, path, NULL, &e);

	if (r == 0)
		r = chain_walk_open(&w, &chain, DIR_PROCESS, pid, &e);
	while (r >= 0 && (r = chain_walk_next(w, &p, &e)) == 1)
		wrong += chains_wrong_piece(c, &p, seen);
	if (r < 0) {
		fprintf(stderr, "# %s\n", e.text);
		wrong += CHAINS_PAGES;
	}
	for (unsigned i = 0; i < CHAINS_PAGES; i++)
		wrong += c->tag[i] && !seen[i];
	chain_walk_close(w);
	chain_close(&chain);
	return wrong;
}

void chains_pagemap(const char *dir, uint64_t pid, uint32_t pages_id,
		    const struct criu_entry *entries, unsigned n)
{
	struct buf b = BUF_INIT;
	char name[4200];
	FILE *f;

	(void)snprintf(name, sizeof(name), "%s/pagemap-%" PRIu64 ".img", dir, pid);
	f = fopen(name, "w");
	if (!f)
		kit_die("%s: %m", name);
	criu_put_magic(&b, CRIU_PAGEMAP);
	criu_put_head(&b, pages_id);
	for (unsigned i = 0; i < n; i++)
		criu_put_entry(&b, &entries[i]);
	(void)fwrite(b.data, 1, b.len, f);
	(void)fclose(f);
	buf_free(&b);
}

void chains_begin(char *ret_dir, size_t size)
{
	snprintf(ret_dir, size, "%s/decant-images.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(ret_dir))
		kit_die("%s: %m", ret_dir);
}

void chains_end(const char *dir)
{
	kit_sh("rm -rf %s", dir);
}
