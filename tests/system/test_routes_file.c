/* SPDX-License-Identifier: MIT */
/*
 * Every route from file to file and from memory to file, by its name, on every
 * file system: sizes and offsets that are no whole blocks, what is around the
 * range in the sink stays as it was, holes stay holes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "lib/fs.h"
#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/pattern.h"
#include "lib/track.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define AROUND (64 * KIB) /* of the sink, looked at on both sides */
#define WAIT_MS 20000

static const uint64_t sizes[] = { 0, 1, 511, 512, 4095, 4096, 4097, 12345, MIB, 3 * MIB + 517 };
static const uint64_t offsets[][2] = {
	{ 0, 0 }, { 4096, 4096 }, { 512, 512 }, { 4096, 512 }, { 1000, 1000 }, { 123, 456 },
	{ 65536, 0 },
};

enum from { FROM_FILE, FROM_MEMORY, FROM_MEMORY_ODD };

struct row {
	enum from from;
	const char *route;
	uint32_t flags;
	unsigned must; /* file systems (bits) on which it must fit with whole blocks */
	bool odd;      /* fits with any offsets */
};

#define ALL_FS 0xfu
#define DISK_FS ((1u << FS_EXT4) | (1u << FS_XFS) | (1u << FS_BTRFS))
#define CLONE_FS ((1u << FS_XFS) | (1u << FS_BTRFS))

static const struct row rows[] = {
	{ FROM_FILE, "reflink", 0, CLONE_FS, false },
	{ FROM_FILE, "copy-range", 0, ALL_FS, true },
	{ FROM_FILE, "direct", 0, DISK_FS, false },
	{ FROM_FILE, "direct", DECANT_DIRECT, DISK_FS, false },
	{ FROM_FILE, "read-write", 0, ALL_FS, true },
	{ FROM_MEMORY, "direct", 0, DISK_FS, true },
	{ FROM_MEMORY, "write", 0, ALL_FS, true },
	{ FROM_MEMORY_ODD, "direct", 0, DISK_FS, true },
	{ FROM_MEMORY, "read-write", 0, ALL_FS, true },
};

struct one {
	const struct row *row;
	enum fs_kind fs;
	struct decant *d;
	uint32_t checksum;
	uint64_t from_offset, to_offset, len;
	bool to_end;
};

static int junk_file(enum fs_kind fs, uint64_t len)
{
	int fd = fs_file(fs, NULL);

	pattern_write(fd, 0, len, 3);
	return fd;
}

static void check_digest(const struct one *o, const struct decant_event *e)
{
	unsigned char *data = malloc(o->len + 1);
	uint8_t want[32] = { 0 };
	struct hash *h = NULL;

	pattern_fill(data, o->len, o->from_offset, PATTERN_OLD);
	need(hash_create(&h, o->checksum) == 0, "hash");
	hash_update(h, data, o->len);
	hash_digest(h, want);
	hash_destroy(h);
	is_int(e->checksum, o->checksum, "what digest holds");
	is_mem(e->digest, want, 32, "checksum of %llu bytes", (unsigned long long)o->len);
	free(data);
}

static void check_sink(const struct one *o, int to, uint64_t junk)
{
	struct pattern_report r = { 0 }, before = { 0 }, after = { 0 };
	uint64_t low = o->to_offset < AROUND ? o->to_offset : AROUND;
	uint64_t end = o->to_offset + o->len;
	struct stat st;

	kit_must(fstat(to, &st));
	is_int(st.st_size, end > junk && o->len ? end : junk, "size of the sink");
	is_int(pattern_check_file(&r, to, o->to_offset, o->len, o->from_offset, PATTERN_OLD),
	       o->len, "all is there");
	ok(pattern_clean(&r), "and right: %s", pattern_text(&r));
	(void)pattern_check_file(&before, to, o->to_offset - low, low, o->to_offset - low, 3);
	if (junk >= o->to_offset)
		ok(pattern_clean(&before), "what is before stays: %s", pattern_text(&before));
	else
		ok(before.zero == pattern_wrong(&before), "before it is nothing");
	if (junk > end)
		(void)pattern_check_file(&after, to, end, junk - end < AROUND ? junk - end : AROUND,
					 end, 3);
	ok(pattern_clean(&after), "what is behind stays: %s", pattern_text(&after));
}

/* False: the planner says that it does not fit. */
static bool move_one(const struct one *o, uint64_t junk)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	int from = -1, to = junk_file(o->fs, junk);
	struct decant_event e = { 0 };
	unsigned char *mem = NULL;
	unsigned odd = o->row->from == FROM_MEMORY_ODD ? 13 : 0;
	int64_t n;

	if (o->row->from == FROM_FILE) {
		from = fs_file(o->fs, NULL);
		pattern_write(from, 0, o->from_offset + o->len + (o->to_end ? 0 : 70000),
			      PATTERN_OLD);
		t.from = decant_file(from, o->from_offset);
	} else {
		mem = aligned_alloc(4096, (o->len + 8191) & ~UINT64_C(4095));
		pattern_fill(mem + odd, o->len, o->from_offset, PATTERN_OLD);
		t.from = decant_memory(mem + odd, o->len);
	}
	t.to = decant_file(to, o->to_offset);
	t.len = o->to_end ? DECANT_TO_END : o->len;
	t.route = o->row->route;
	t.flags = o->row->flags;
	t.checksum = o->checksum;
	if (decant_plan(o->d, &t, &plan) == 0) {
		n = decant_move(o->d, &t, &e);
		is_int(n, o->len, "moved: %s", e.message);
		is_str(e.route, o->row->route, "by the route that was asked for");
		is_int(e.bytes, o->len, "bytes of the event");
		/* Less than a block at each end may go through the page cache. */
		ok(e.cpu_copies <= plan.copies * o->len + 2 * (o->len < 8192 ? o->len : 8192),
		   "%llu bytes copied, planned was %u times", (unsigned long long)e.cpu_copies,
		   plan.copies);
		check_sink(o, to, junk);
		if (o->checksum)
			check_digest(o, &e);
	}
	free(mem);
	if (from >= 0)
		close(from);
	close(to);
	return plan.route[0];
}

struct arg {
	const struct row *row;
	enum fs_kind fs;
	enum decant_backend backend;
	uint32_t checksum;
};

static const char *name_one(const struct one *o, uint64_t junk)
{
	static char text[160];

	snprintf(text, sizeof(text), "%llu bytes from %llu to %llu, sink of %llu%s",
		 (unsigned long long)o->len, (unsigned long long)o->from_offset,
		 (unsigned long long)o->to_offset, (unsigned long long)junk,
		 o->to_end ? ", to the end" : "");
	return text;
}

static void matrix_one(struct one *o, unsigned size, unsigned pair)
{
	static const uint64_t junks[] = { 0, 5000, 1300000 };
	bool whole = offsets[pair][0] % 4096 == 0 && offsets[pair][1] % 4096 == 0;
	bool must = o->row->must & (1u << o->fs);

	o->len = sizes[size];
	o->from_offset = offsets[pair][0];
	o->to_offset = offsets[pair][1];
	for (unsigned i = 0; i < 3; i++) {
		int before = tap_shared->case_failed;
		bool fits;

		o->to_end = (size + pair + i) % 2;
		fits = move_one(o, junks[i]);
		if (must && (o->row->odd || (whole && o->len % 4096 == 0)))
			ok(fits, "it fits");
		if (tap_shared->case_failed != before) {
			diag("in: %s", name_one(o, junks[i]));
			return;
		}
	}
}

static void matrix(const void *p)
{
	const struct arg *a = p;
	struct one o = { .row = a->row, .fs = a->fs, .checksum = a->checksum };
	struct leak before;

	leak_take(&before);
	o.d = track_engine(a->backend, NULL);
	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (unsigned f = 0; f < sizeof(offsets) / sizeof(offsets[0]); f++)
			matrix_one(&o, s, f);
	decant_close(o.d);
	ok(!leak_since(&before, 1000), "closed: %s", leak_since(&before, 0));
}

static void large(const void *p)
{
	const struct arg *a = p;
	struct one o = { .row = a->row, .fs = a->fs, .len = 64 * MIB + 3, .to_end = true };

	o.d = track_engine(a->backend, NULL);
	ok(move_one(&o, 0), "it fits");
	decant_close(o.d);
}

static bool row_can_hash(const struct row *r)
{
	return strcmp(r->route, "reflink") && strcmp(r->route, "copy-range");
}

int main(void)
{
	kit_start(600);
	tap_case_seconds = 60;
	fs_start();
	for (int fs = 0; fs < FS_KINDS; fs++)
		(void)fs_dir((enum fs_kind)fs);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int fs = 0; fs < FS_KINDS; fs++)
			for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++) {
				struct arg a = { &rows[i], (enum fs_kind)fs,
						 (enum decant_backend)b, 0 };

				tap_case_arg(matrix, &a, "%s%s%s on %s, %s", rows[i].route,
					     rows[i].from == FROM_FILE ? "" : " from memory",
					     rows[i].from == FROM_MEMORY_ODD ? ", unaligned" : "",
					     fs_names[fs], track_backends[b]);
				if (rows[i].must & (1u << fs))
					tap_case_arg(large, &a, "%s, 64 MiB and 3 bytes on %s, %s",
						     rows[i].route, fs_names[fs],
						     track_backends[b]);
				a.checksum = DECANT_CHECKSUM_XXH3;
				if (fs == FS_EXT4 && row_can_hash(&rows[i]))
					tap_case_arg(matrix, &a, "%s with a checksum, %s",
						     rows[i].route, track_backends[b]);
			}
	return done();
}
