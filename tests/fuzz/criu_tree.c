/* SPDX-License-Identifier: MIT */
/*
 * Whole directories of images through the library's own functions, as `decant
 * images` calls them: shown, checked, compared, merged, made into cores.  The
 * input is cut into files: kind, length (two bytes), content.  The first kinds
 * are those of criu_chain.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* a is the directory, b its parent, c the parent of that. */
static const char *const files[] = {
	"a/pagemap-5.img", "b/pagemap-5.img", "a/decant-5.img", "a/inventory.img", "a/stats-dump",
	"a/pagemap-shmem-5.img", "c/pagemap-5.img", "a/pages-1.img", "b/pages-1.img",
	"a/pages-2.img", "c/pages-3.img", "b/inventory.img", "a/pagemap-6.img", "b/decant-5.img",
	"a/inventory.img.part", "a/pagemap-07.img", "b/pagemap-shmem-5.img", "a/core-5.img",
};

#define FILES_N (sizeof(files) / sizeof(files[0]))
#define KIND_PARENT FILES_N          /* where a/parent leads */
#define PAGES_MAX (16u << 20)
#define FAULTS_MAX 1000

static char top[64];
static int top_fd;
static struct decant *engine;

static void require(int condition)
{
	if (!condition)
		abort();
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *w)
{
	(void)st;
	(void)kind;
	(void)w;
	return remove(path);
}

static void remove_top(void)
{
	(void)close(top_fd);
	require(nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static void make_file(const char *name, const uint8_t *data, size_t len, uint64_t pages)
{
	int fd = openat(top_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	require(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	if (pages)
		require(ftruncate(fd, (off_t)(pages * 4096)) == 0);
	(void)close(fd);
}

static void make_top(void)
{
	(void)snprintf(top, sizeof(top), "%s/decant-tree.XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	require(mkdtemp(top) != NULL);
	top_fd = open(top, O_RDONLY | O_DIRECTORY);
	require(top_fd >= 0);
	require(mkdirat(top_fd, "a", 0700) == 0 && mkdirat(top_fd, "b", 0700) == 0 &&
		mkdirat(top_fd, "c", 0700) == 0);
	require(symlinkat("../b", top_fd, "a/parent") == 0 &&
		symlinkat("../c", top_fd, "b/parent") == 0);
	/* Numbers that a pagemap names are there rarely: these are. */
	make_file("a/pages-1.img", NULL, 0, 256);
	make_file("b/pages-1.img", NULL, 0, 256);
}

static void make_parent(const uint8_t *data, size_t len)
{
	char to[200];

	(void)unlinkat(top_fd, "a/parent", 0);
	len = len < sizeof(to) - 1 ? len : sizeof(to) - 1;
	memcpy(to, data, len);
	to[len] = '\0';
	(void)symlinkat(to, top_fd, "a/parent");
}

static void make_files(const uint8_t *data, size_t size)
{
	while (size >= 3) {
		size_t kind = data[0] % (FILES_N + 1), len = data[1] | (size_t)data[2] << 8;
		/* Of pages only the first bytes are of interest, and how many there are. */
		bool pages = kind < FILES_N && strstr(files[kind], "/pages-");

		data += 3;
		size -= 3;
		len = len < size ? len : size;
		if (kind == KIND_PARENT)
			make_parent(data, len);
		else
			make_file(files[kind], data, len,
				  pages && len ? 1 + data[0] % 64 : 0);
		data += len;
		size -= len;
	}
}

/* ------------------------------------------------------------- what is read */

struct seen {
	uint64_t n, last, pages;
	uint64_t id;
	uint32_t kind;
	struct decant_images *images;
	unsigned level;
};

static int entry(void *arg, const struct decant_images_range *r)
{
	struct seen *s = arg;

	require(r->start < r->end && r->level < 256);
	return ++s->n > FAULTS_MAX ? -ECANCELED : 0;
}

/* Where each page is: ascending, and each once. */
static int page(void *arg, const struct decant_images_range *r)
{
	struct seen *s = arg;

	require(r->start >= s->last && r->start < r->end);
	s->last = r->end;
	s->pages += (r->end - r->start) / 4096;
	return 0;
}

static int map(void *arg, const struct decant_images_map *m)
{
	struct seen *s = arg, inner = { 0 };
	int r;

	require(m->error == 0 || m->message[0]);
	r = decant_images_entries(s->images, s->level, m->kind, m->id, entry, &inner);
	require(r == 0 || r == -ECANCELED || m->error || decant_strerror(engine)[0]);
	if (s->level == 0) {
		inner = (struct seen){ 0 };
		r = decant_images_pages(s->images, m->kind, m->id, page, &inner);
		require(r == 0 || decant_strerror(engine)[0]);
	}
	return ++s->n > FAULTS_MAX ? -ECANCELED : 0;
}

static int fault(void *arg, const struct decant_images_fault *f)
{
	struct seen *s = arg;

	require(f->message[0]);
	return ++s->n > FAULTS_MAX ? -ECANCELED : 0;
}

static int mapping(void *arg, const struct decant_images_mapping *m)
{
	struct seen *s = arg;

	require(m->start >= s->last && m->start < m->end && m->name);
	s->last = m->end;
	return 0;
}

static int same(void *arg, const struct decant_images_change *c)
{
	struct seen *s = arg;

	require(c->start < c->end);
	s->n += c->what != DECANT_IMAGES_SAME;
	return 0;
}

static void show(struct decant_images *i)
{
	struct decant_images_level level = DECANT_IMAGES_LEVEL_INIT;
	int n = decant_images_level(i, 0, NULL);
	struct seen s = { .images = i };

	require(n >= 1);
	for (s.level = 0; s.level < (unsigned)n; s.level++) {
		require(decant_images_level(i, s.level, &level) == n && level.path);
		s.n = 0;
		require(decant_images_maps(i, s.level, map, &s) == 0 || decant_strerror(engine)[0]);
	}
	s = (struct seen){ 0 };
	require(decant_images_mappings(i, 5, mapping, &s) == 0 || decant_strerror(engine)[0]);
}

static void core(struct decant_images *i)
{
	struct decant_images_report report = DECANT_IMAGES_REPORT_INIT;
	int fd = memfd_create("core", MFD_CLOEXEC);
	struct stat st;
	char elf[4];

	require(fd >= 0);
	if (decant_images_core(i, 5, fd, &report) == 0) {
		require(fstat(fd, &st) == 0 && (uint64_t)st.st_size == report.file_bytes);
		require(pread(fd, elf, 4, 0) == 4 && memcmp(elf, "\177ELF", 4) == 0);
	} else {
		require(decant_strerror(engine)[0]);
	}
	(void)close(fd);
}

/* All pages in all, or so many that no disk of ours should hold them. */
static bool is_small(struct decant_images *i)
{
	struct seen five = { 0 }, six = { 0 };
	int r = decant_images_pages(i, DECANT_IMAGES_PROCESS, 5, page, &five);

	if (r == 0 || r == -ENOENT)
		r = decant_images_pages(i, DECANT_IMAGES_PROCESS, 6, page, &six);
	/* What stops a look at them stops the merging, too. */
	return five.pages + six.pages < PAGES_MAX / 4096;
}

/* What is without a fault can be merged, is without one then, and the same. */
static void flatten(struct decant_images *i, bool sound)
{
	struct decant_images_report report = DECANT_IMAGES_REPORT_INIT;
	struct decant_images *flat = NULL;
	struct seen s = { 0 };
	char path[80];
	int r;

	(void)snprintf(path, sizeof(path), "%s/flat", top);
	r = decant_images_flatten(i, path, 0, &report);
	require(r == 0 || decant_strerror(engine)[0]);
	require(r == 0 || !sound);
	if (r < 0)
		return;
	require(decant_images_open(engine, &flat, path, 0) == 0);
	require(decant_images_level(flat, 0, NULL) == 1);
	if (sound) {
		require(decant_images_check(flat, fault, &s) == 0);
		s = (struct seen){ 0 };
		require(decant_images_diff(i, flat, same, &s) == 0 && s.n == 0);
	}
	decant_images_close(flat);
	/* Merged once more in its own place it stays what it is. */
	if (sound && report.pages < 64) {
		r = decant_images_flatten(i, NULL, 0, &report);
		require(r == 0);
	}
}

static void read_all(void)
{
	struct decant_images *i = NULL;
	struct seen s = { 0 };
	int64_t faults;
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/a", top);
	if (decant_images_open(engine, &i, path, 0) < 0)
		require(decant_strerror(engine)[0]);
	else
		decant_images_close(i);
	if (decant_images_open(engine, &i, path, DECANT_IMAGES_BROKEN) < 0)
		return;
	faults = decant_images_check(i, fault, &s);
	show(i);
	core(i);
	if (is_small(i))
		flatten(i, faults == 0);
	decant_images_close(i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decant_options options = DECANT_OPTIONS_INIT;

	options.backend = DECANT_BACKEND_THREADS;
	options.cost_file = "";
	if (!engine)
		require(decant_open(&engine, &options) == 0);
	make_top();
	make_files(data, size);
	read_all();
	remove_top();
	return 0;
}
