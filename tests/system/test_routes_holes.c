/* SPDX-License-Identifier: MIT */
/*
 * Holes stay holes, on every file system and by every route from file to file;
 * and where the sink had data, the hole reads as zeros and not as these.
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
#include "lib/pattern.h"
#include "lib/track.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define RUNS_MAX 64
#define SLACK_BYTES (128 * KIB) /* what a file system may need beside the data */

struct run {
	uint64_t at, len;
};

struct shape {
	const char *name;
	uint64_t size;
	struct run data[6];
};

static const struct shape shapes[] = {
	{ "in the middle", 8 * MIB, { { 0, MIB }, { 4 * MIB, 4096 }, { 4 * MIB + 16384, 3 * MIB },
				      { 8 * MIB - 4096, 4096 } } },
	{ "at the start", 3 * MIB + 5, { { 2 * MIB, MIB + 5 } } },
	{ "at the end", 3 * MIB + 5, { { 0, 100000 } } },
	{ "everywhere", 2 * MIB + 77, { { 0, 0 } } },
	{ "in many places", 40960, { { 4096, 4096 }, { 12288, 4096 }, { 20480, 100 },
				     { 28672, 8192 } } },
	{ "nowhere", 2 * MIB + 77, { { 0, 2 * MIB + 77 } } },
};

static const struct {
	uint64_t from, to, cut; /* offsets; bytes before the end that are left out */
} windows[] = { { 0, 0, 0 }, { 4096, 65536, 0 }, { 65536, 0, 4096 }, { 1000, 1000, 1 } };

struct arg {
	const char *route;
	enum fs_kind fs;
	enum decant_backend backend;
	uint32_t checksum;
};

static int shape_file(enum fs_kind fs, const struct shape *s)
{
	int fd = fs_file(fs, NULL);

	/* First the length: xfs would take blocks behind the end in advance. */
	kit_must(ftruncate(fd, (off_t)s->size));
	for (unsigned i = 0; i < 6; i++)
		if (s->data[i].len)
			pattern_write(fd, s->data[i].at, s->data[i].len, PATTERN_OLD);
	kit_must(fsync(fd)); /* what is not allocated yet may be told as data */
	return fd;
}

/* Data runs of [at, at + len), relative to at. */
static unsigned runs_of(int fd, uint64_t at, uint64_t len, struct run *ret)
{
	uint64_t end = at + len, pos = at;
	unsigned n = 0;

	while (pos < end && n < RUNS_MAX) {
		off_t data = lseek(fd, (off_t)pos, SEEK_DATA), hole;

		if (data < 0 || (uint64_t)data >= end)
			break;
		hole = kit_must(lseek(fd, data, SEEK_HOLE));
		pos = (uint64_t)hole < end ? (uint64_t)hole : end;
		ret[n].at = (uint64_t)data - at;
		ret[n++].len = pos - (uint64_t)data;
	}
	return n;
}

static void check_runs(int from, uint64_t from_at, int to, uint64_t to_at, uint64_t len)
{
	struct run a[RUNS_MAX], b[RUNS_MAX];
	unsigned an = runs_of(from, from_at, len, a), bn = runs_of(to, to_at, len, b);

	is_int(bn, an, "as many runs of data");
	for (unsigned i = 0; i < an && i < bn; i++) {
		is_int(b[i].at, a[i].at, "run %u starts there", i);
		is_int(b[i].len, a[i].len, "run %u is as long", i);
	}
}

static uint64_t bytes_of(int fd)
{
	struct stat st;

	kit_must(fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

static void check_same(int from, uint64_t from_at, int to, uint64_t to_at, uint64_t len)
{
	unsigned char *a = malloc(len + 1), *b = malloc(len + 1);

	is_int(kit_read_all(from, a, len, (int64_t)from_at), len, "source");
	is_int(kit_read_all(to, b, len, (int64_t)to_at), len, "all is in the sink");
	is_mem(b, a, len, "the same bytes");
	free(a);
	free(b);
}

static void check_hash(const struct decant_event *e, int from, uint64_t at, uint64_t len)
{
	unsigned char *a = malloc(len + 1);
	struct hash *h = NULL;
	uint8_t want[32] = { 0 };

	(void)kit_read_all(from, a, len, (int64_t)at);
	need(hash_create(&h, e->checksum) == 0, "hash");
	hash_update(h, a, len);
	hash_digest(h, want);
	hash_destroy(h);
	is_mem(e->digest, want, 32, "the checksum has the zeros of the holes");
	free(a);
}

/* A block where the sink's own data end cannot be made a hole everywhere. */
static bool runs_must_match(enum fs_kind fs, uint64_t junk, uint64_t start, uint64_t end)
{
	if (junk > end && end % 4096)
		return false;
	return fs != FS_BTRFS || junk % 4096 == 0 || junk <= start || junk >= end;
}

/* junk: bytes that the sink has before. */
static void one(struct decant *d, const struct arg *a, const struct shape *s, unsigned w,
		uint64_t junk)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct decant_event e = { 0 };
	int from, to;
	int64_t n;

	if (windows[w].from + windows[w].cut >= s->size)
		return;
	from = shape_file(a->fs, s);
	to = fs_file(a->fs, NULL);
	pattern_write(to, 0, junk, 3);
	kit_must(fsync(to));
	t.len = s->size - windows[w].from - windows[w].cut;
	t.from = decant_file(from, windows[w].from);
	t.to = decant_file(to, windows[w].to);
	t.route = a->route;
	t.checksum = a->checksum;
	if (decant_plan(d, &t, &plan) == 0) {
		bool whole = (windows[w].from | windows[w].to) % 4096 == 0;

		n = decant_move(d, &t, &e);
		is_int(n, t.len, "moved: %s", e.message);
		kit_must(fsync(to));
		/*
		 * Before the bytes are read, for ext4 calls data what is cached.
		 */
		if (whole && runs_must_match(a->fs, junk, windows[w].to, windows[w].to + t.len))
			check_runs(from, windows[w].from, to, windows[w].to, t.len);
		check_same(from, windows[w].from, to, windows[w].to, t.len);
		/* xfs keeps blocks behind the end for a while. */
		if (whole && a->fs != FS_XFS && junk <= windows[w].to)
			ok(bytes_of(to) <= junk + bytes_of(from) + SLACK_BYTES,
			   "%llu bytes of disk, the source has %llu",
			   (unsigned long long)bytes_of(to), (unsigned long long)bytes_of(from));
		if (a->checksum)
			check_hash(&e, from, windows[w].from, t.len);
	} else {
		ok(strcmp(a->route, "reflink") == 0 || strcmp(a->route, "direct") == 0,
		   "it fits: %s", decant_strerror(d));
		ok(w == 3 || t.len % 4096, "it fits whole blocks: %s", decant_strerror(d));
	}
	close(from);
	close(to);
}

static void all(const void *p)
{
	static const uint64_t junks[] = { 0, 30000, 9 * MIB };
	const struct arg *a = p;
	struct decant *d = track_engine(a->backend, NULL);

	for (unsigned s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
		for (unsigned w = 0; w < sizeof(windows) / sizeof(windows[0]); w++)
			for (unsigned j = 0; j < 3; j++) {
				int before = tap_shared->case_failed;

				one(d, a, &shapes[s], w, junks[j]);
				if (tap_shared->case_failed != before)
					diag("in: holes %s, from %llu to %llu, sink of %llu",
					     shapes[s].name, (unsigned long long)windows[w].from,
					     (unsigned long long)windows[w].to,
					     (unsigned long long)junks[j]);
			}
	decant_close(d);
}

/* The position of the caller's descriptor is not ours to move. */
static void position(const void *p)
{
	const struct arg *a = p;
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_event e = { 0 };
	int from = shape_file(a->fs, &shapes[0]), to = fs_file(a->fs, NULL);
	struct decant *d = track_engine(a->backend, NULL);

	kit_must(lseek(from, 4711, SEEK_SET));
	kit_must(lseek(to, 17, SEEK_SET));
	t.from = decant_file(from, 0);
	t.to = decant_file(to, 0);
	t.route = a->route;
	is_int(decant_move(d, &t, &e), shapes[0].size, "moved: %s", e.message);
	is_int(lseek(from, 0, SEEK_CUR), 4711, "position of the source");
	is_int(lseek(to, 0, SEEK_CUR), 17, "position of the sink");
	check_same(from, 0, to, 0, shapes[0].size);
	decant_close(d);
	close(from);
	close(to);
}

/*
 * Two transfers into one file at once, the first of which ends in a hole: the
 * end that it makes must not cut off what the other has written behind it.
 */
static void side_by_side(const void *p)
{
	const struct arg *a = p;
	struct decant *d = track_engine(a->backend, NULL);

	for (int i = 0; i < 20; i++) {
		struct decant_transfer t = DECANT_TRANSFER_INIT;
		int hole = shape_file(a->fs, &shapes[3]), data = shape_file(a->fs, &shapes[5]);
		int to = fs_file(a->fs, NULL);
		struct track first, second;

		t.route = a->route;
		t.from = decant_file(hole, 0);
		t.to = decant_file(to, 0);
		ok(track_submit(d, &t, &first) > 0, "first: %s", decant_strerror(d));
		t.from = decant_file(data, 0);
		t.to = decant_file(to, 4 * MIB);
		ok(track_submit(d, &t, &second) > 0, "second: %s", decant_strerror(d));
		track_until(d, &first, DECANT_ENDED, 10000);
		track_until(d, &second, DECANT_ENDED, 10000);
		is_str(track_verdict(&first, 0), "", "hole");
		is_str(track_verdict(&second, 0), "", "data");
		check_same(data, 0, to, 4 * MIB, shapes[5].size);
		check_same(hole, 0, to, 0, shapes[3].size);
		close(hole);
		close(data);
		close(to);
	}
	decant_close(d);
}

int main(void)
{
	static const struct {
		const char *route;
		unsigned fs;
	} routes[] = {
		{ "reflink", 1u << FS_XFS | 1u << FS_BTRFS },
		{ "copy-range", 0xf },
		{ "direct", 1u << FS_EXT4 | 1u << FS_XFS | 1u << FS_BTRFS },
		{ "read-write", 0xf },
	};

	kit_start(600);
	tap_case_seconds = 90;
	fs_start();
	for (int fs = 0; fs < FS_KINDS; fs++)
		(void)fs_dir((enum fs_kind)fs);
	for (unsigned i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		for (int fs = 0; fs < FS_KINDS; fs++)
			for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++) {
				struct arg a = { routes[i].route, (enum fs_kind)fs,
						 (enum decant_backend)b, 0 };

				if (!(routes[i].fs & (1u << fs)))
					continue;
				tap_case_arg(all, &a, "%s on %s, %s", a.route, fs_names[fs],
					     track_backends[b]);
				tap_case_arg(position, &a, "%s on %s, %s: positions", a.route,
					     fs_names[fs], track_backends[b]);
				if (i > 0) /* what is no whole block cannot be shared then */
					tap_case_arg(side_by_side, &a, "%s on %s, %s: side by side",
						     a.route, fs_names[fs], track_backends[b]);
				a.checksum = DECANT_CHECKSUM_XXH3;
				if (i >= 2 && fs != FS_XFS)
					tap_case_arg(all, &a, "%s on %s, %s, with a checksum",
						     a.route, fs_names[fs], track_backends[b]);
			}
	return done();
}
