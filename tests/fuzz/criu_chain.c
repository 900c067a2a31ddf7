/* SPDX-License-Identifier: MIT */
/*
 * A directory of images and its parent, read in every way there is.  The input
 * is cut into files: kind, length (two bytes), content; kind 0 to 5.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dump/check.h"
#include "dump/diff.h"
#include "dump/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char top[64];
static int top_fd;

/* a is the directory, b its parent. */
static const char *const files[] = {
	"a/pagemap-5.img", "b/pagemap-5.img", "a/decant-5.img", "a/inventory.img", "a/stats-dump",
	"a/pagemap-shmem-5.img",
};

#define FILES_N (sizeof(files) / sizeof(files[0]))

static void require(int condition)
{
	if (!condition)
		abort();
}

/* After each input: a fuzzer, and who replays its corpus, may leave without a word. */
static void remove_top(void)
{
	for (size_t i = 0; i < FILES_N; i++)
		(void)unlinkat(top_fd, files[i], 0);
	(void)unlinkat(top_fd, "a/pages-1.img", 0);
	(void)unlinkat(top_fd, "b/pages-1.img", 0);
	(void)unlinkat(top_fd, "a/parent", 0);
	require(unlinkat(top_fd, "a", AT_REMOVEDIR) == 0);
	require(unlinkat(top_fd, "b", AT_REMOVEDIR) == 0);
	require(close(top_fd) == 0 && rmdir(top) == 0);
}

static void make_top(void)
{
	int fd;

	(void)snprintf(top, sizeof(top), "%s/decant-fuzz.XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	require(mkdtemp(top) != NULL);
	top_fd = open(top, O_RDONLY | O_DIRECTORY);
	require(top_fd >= 0);
	require(mkdirat(top_fd, "a", 0700) == 0 && mkdirat(top_fd, "b", 0700) == 0);
	require(symlinkat("../b", top_fd, "a/parent") == 0);
	/* Any number that a pagemap names as that of its pages is there rarely: 1 is. */
	for (unsigned i = 0; i < 2; i++) {
		fd = openat(top_fd, i ? "a/pages-1.img" : "b/pages-1.img", O_WRONLY | O_CREAT,
			    0600);
		require(fd >= 0 && ftruncate(fd, 1 << 20) == 0);
		(void)close(fd);
	}
}

static void put(const char *name, const uint8_t *data, size_t len)
{
	int fd = openat(top_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	require(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	(void)close(fd);
}

static int fault(void *arg, const struct check_fault *f)
{
	unsigned *left = arg;

	require(f->text[0] != '\0');
	return --*left == 0;
}

static int range(void *arg, const struct diff_range *r)
{
	uint64_t *last = arg;

	require(r->start < r->end && (r->start >= *last || r->id.kind == DIR_SHMEM));
	*last = r->end;
	return 0;
}

/* Pieces ascend, and lie in their files. */
static int walk(const struct chain *c)
{
	struct chain_walk *w = NULL;
	struct err e = { "" };
	struct chain_piece p;
	uint64_t last = 0;
	struct stat st;
	int r = chain_walk_open(&w, c, DIR_PROCESS, 5, &e);

	while (r >= 0 && (r = chain_walk_next(w, &p, &e)) == 1) {
		require(p.start >= last && p.start < p.end && p.level < c->n);
		require(p.fd < 0 || (fstat(p.fd, &st) == 0 &&
				     p.offset + (p.end - p.start) <= (uint64_t)st.st_size));
		last = p.end;
	}
	require(r == 0 || e.text[0]);
	chain_walk_close(w);
	return r;
}

static void read_all(void)
{
	struct err broken = { "" }, e = { "" };
	unsigned left = 1000;
	uint64_t last = 0;
	struct criu_note n;
	struct note note;
	struct chain c;
	int64_t faults;
	char path[80];
	int r;

	(void)snprintf(path, sizeof(path), "%s/a", top);
	r = chain_open(&c, path, &broken, &e);
	require(r == 0);
	faults = check_chain(&c, &broken, fault, &left, &e);
	r = walk(&c);
	/* Whoever reads it can rely on what check says. */
	require(faults != 0 || r == 0 || r == -ENOENT);
	if (diff_chains(&c, &c, range, &last, &e) < 0)
		require(e.text[0]);
	if (note_open(&note, &c, 0, 5, &e) == 0) {
		while (note_next(&note, &n, &e) == 1)
			;
		note_close(&note);
	}
	chain_close(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	make_top();
	while (size >= 3) {
		size_t kind = data[0] % FILES_N, len = data[1] | (size_t)data[2] << 8;

		data += 3;
		size -= 3;
		len = len < size ? len : size;
		put(files[kind], data, len);
		data += len;
		size -= len;
	}
	read_all();
	remove_top();
	return 0;
}
