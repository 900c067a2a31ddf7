/* SPDX-License-Identifier: MIT */
/* Pages into a file at their places, round after round, whatever the kernel refuses. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "capture/writer.h"
#include "lib/fs.h"
#include "lib/kit.h"
#include "sys/fault.h"
#include "tap.h"

#define PAGES 4096u
#define ROUNDS 6
#define PER_ROUND 500
#define PAGE ((size_t)WRITER_PAGE)

struct way {
	const char *name;
	const char *mask;
	enum fs_kind fs;
	const char *fault;      /* wrapper that fails or is short */
	enum sys_fault_mode mode;
	bool fails;             /* the writer must say so */
};

static const struct way ways[] = {
	{ "ext4", NULL, FS_EXT4, NULL, 0, false },
	{ "ext4, no io_uring", "io_uring", FS_EXT4, NULL, 0, false },
	{ "ext4, no O_DIRECT", "o_direct", FS_EXT4, NULL, 0, false },
	{ "ext4, neither", "io_uring,o_direct", FS_EXT4, NULL, 0, false },
	{ "xfs", NULL, FS_XFS, NULL, 0, false },
	{ "tmpfs", NULL, FS_TMPFS, NULL, 0, false },
	{ "short writes", "io_uring", FS_EXT4, "pwrite", SYS_FAULT_SHORT, false },
	{ "a write fails", "io_uring", FS_EXT4, "pwrite", SYS_FAULT_ERROR, true },
	{ "a write in flight fails", NULL, FS_EXT4, "uring_write", SYS_FAULT_ERROR, true },
};

static unsigned char *model; /* what the file must hold */

static void fill(unsigned char *p, uint64_t page, unsigned round)
{
	for (size_t i = 0; i < PAGE; i += 8)
		memcpy(p + i, &(uint64_t){ page * 1000003 + round * 7919 + i }, 8);
}

/* Each page once in a round, in an order that jumps; each buffer has many pages. */
static int round_of_pages(struct writer *w, unsigned round)
{
	uint64_t step = 2 * (kit_random() % PAGES) + 1, page = kit_random() % PAGES;
	struct err err = { "" };
	int r = 0;

	for (unsigned n = 0; n < PER_ROUND && r >= 0;) {
		struct writer_buffer *b = writer_get(w, &err);

		if (!b)
			return -EIO;
		for (uint32_t at = 0; at < 64 && n < PER_ROUND && r >= 0; at++, n++) {
			fill(b->data + at * PAGE, page, round);
			memcpy(model + page * PAGE, b->data + at * PAGE, PAGE);
			r = writer_put(w, b, at * WRITER_PAGE, WRITER_PAGE, page * PAGE, &err);
			page = (page + step) % PAGES;
		}
		writer_done(w, b);
	}
	/* The next round writes some of them again. */
	return r < 0 ? r : writer_flush(w, &err);
}

/* One long piece, from memory that is not the writer's. */
static int long_piece(struct writer *w)
{
	static unsigned char pages[64 * WRITER_PAGE] __attribute__((aligned(WRITER_PAGE)));
	struct err err = { "" };
	int r;

	for (unsigned i = 0; i < 64; i++)
		fill(pages + i * PAGE, i + 100, ROUNDS);
	memcpy(model + 100 * PAGE, pages, sizeof(pages));
	r = writer_pages(w, pages, sizeof(pages), 100 * PAGE, &err);
	return r < 0 ? r : writer_flush(w, &err);
}

static void *pages_map(void)
{
	return kit_must(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void way_case(const void *arg)
{
	const struct way *way = arg;
	struct sys_fault_plan plan = { .mode = way->mode, .nth = 20, .repeat = 1,
				       .name = way->fault };
	struct writer *w = NULL;
	struct caps *caps = NULL;
	struct err err = { "" };
	int fd = fs_file(way->fs, NULL), r = 0, flags = fcntl(fd, F_GETFL);
	unsigned char *got = pages_map();

	model = pages_map();
	is_int(caps_create(&caps, way->mask, &err), 0, "facts");
	is_int(writer_open(&w, caps, fd, &err), 0, "open: %s", err.text);
	if (way->fault)
		sys_fault_arm(&plan);
	for (unsigned i = 0; i < ROUNDS && r >= 0; i++)
		r = round_of_pages(w, i);
	if (r >= 0)
		r = long_piece(w);
	sys_fault_disarm();
	ok((r < 0) == way->fails, "%s", way->fails ? "the writer says so" : "all written");
	writer_close(w);
	is_int(fcntl(fd, F_GETFL), flags, "the descriptor's flags are as before");
	if (!way->fails) {
		is_int(ftruncate(fd, PAGES * PAGE), 0, "length");
		is_int(pread(fd, got, PAGES * PAGE, 0), (long)(PAGES * PAGE), "read back");
		ok(memcmp(got, model, PAGES * PAGE) == 0, "every page is the newest");
	}
	caps_destroy(caps);
	munmap(got, PAGES * PAGE);
	munmap(model, PAGES * PAGE);
	close(fd);
}

int main(void)
{
	need_root();
	kit_start(120);
	fs_start();
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		kit_case(way_case, &ways[i], "%s", ways[i].name);
	return done();
}
