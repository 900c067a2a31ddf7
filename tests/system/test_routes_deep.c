/* SPDX-License-Identifier: MIT */
/*
 * The deep queue of O_DIRECT writes under pressure: peers that fall silent, less
 * memory than pieces, rates, cancellation, files that shrink and disks that are
 * full in mid-transfer: what is counted is a prefix that is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/net.h"
#include "lib/pattern.h"
#include "lib/track.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define WAIT_MS 20000
#define MANY 12

static enum decant_backend backend;

static struct decant *engine(uint64_t memory_bytes)
{
	struct decant_options o = DECANT_OPTIONS_INIT;
	struct decant *d = NULL;
	int r;

	o.backend = backend;
	o.memory_max_bytes = memory_bytes;
	o.cost_file = "";
	r = decant_open(&d, &o);
	need(r == 0, "decant_open: %d", r);
	return d;
}

static void check_prefix(int fd, uint64_t at, uint64_t len)
{
	struct pattern_report r = { 0 };

	is_int(pattern_check_file(&r, fd, at, len, at, PATTERN_OLD), len,
	       "what is counted is there");
	ok(pattern_clean(&r), "and right: %s", pattern_text(&r));
}

static struct decant_transfer direct(struct decant_end from, struct decant_end to,
				     const char *route)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;

	t.from = from;
	t.to = to;
	t.route = route;
	t.flags = DECANT_DIRECT;
	return t;
}

/*
 * Peers that sent something and fell silent hold no buffers: another transfer,
 * which may use nothing but those, goes on.  Then they go on, too.
 */
static void silent(void)
{
	const uint64_t first = 100003, all = 3 * MIB + 11;
	unsigned char *data = malloc(all);
	struct decant *d = engine(4 * MIB);
	struct decant_transfer t;
	struct pair pair[MANY];
	struct track tr[MANY], other;
	int to[MANY], from, sink;

	pattern_fill(data, all, 0, PATTERN_OLD);
	for (int i = 0; i < MANY; i++) {
		struct pair_options o = { .holds = 8 * MIB, .blocking = true };

		pair_open(&pair[i], i % 2 ? PAIR_UNIX : PAIR_LOOPBACK, &o);
		to[i] = fs_file(FS_EXT4, NULL);
		kit_write_all(pair[i].out, data, first, -1);
		t = direct(decant_socket(pair[i].in), decant_file(to[i], 0), "recv-direct");
		ok(track_submit(d, &t, &tr[i]) > 0, "submit: %s", decant_strerror(d));
	}
	kit_sleep_ms(300);
	from = fs_pattern_file(FS_EXT4, 20 * MIB, NULL);
	sink = fs_file(FS_EXT4, NULL);
	t = direct(decant_file(from, 0), decant_file(sink, 0), "direct");
	ok(track_submit(d, &t, &other) > 0, "submit: %s", decant_strerror(d));
	track_until(d, &other, DECANT_ENDED, WAIT_MS);
	is_str(track_verdict(&other, 0), "", "a transfer beside silent ones");
	check_prefix(sink, 0, 20 * MIB);
	for (int i = 0; i < MANY; i++) {
		kit_write_all(pair[i].out, data + first, all - first, -1);
		close(pair[i].out);
	}
	for (int i = 0; i < MANY; i++) {
		track_until(d, &tr[i], DECANT_ENDED, WAIT_MS);
		is_str(track_verdict(&tr[i], 0), "", "%d was silent", i);
		is_int(tr[i].last[DECANT_ENDED].bytes, all, "%d: bytes", i);
		check_prefix(to[i], 0, all);
		close(pair[i].in);
		close(to[i]);
	}
	close(from);
	close(sink);
	decant_close(d);
	free(data);
}

/* Many at once with memory for two pieces. */
static void memory(void)
{
	struct decant *d = engine(2 * MIB);
	int from = fs_pattern_file(FS_EXT4, 9 * MIB + 5, NULL), to[MANY];
	struct track tr[MANY];

	for (int i = 0; i < MANY; i++) {
		struct decant_transfer t;

		to[i] = fs_file(FS_EXT4, NULL);
		t = direct(decant_file(from, 0), decant_file(to[i], 0), "direct");
		t.flags = i % 2 ? DECANT_DIRECT : 0;
		t.checksum = i % 3 ? DECANT_CHECKSUM_XXH3 : DECANT_CHECKSUM_NONE;
		ok(track_submit(d, &t, &tr[i]) > 0, "submit: %s", decant_strerror(d));
	}
	for (int i = 0; i < MANY; i++) {
		const struct decant_event *e = &tr[i].last[DECANT_ENDED];

		track_until(d, &tr[i], DECANT_ENDED, WAIT_MS);
		is_str(track_verdict(&tr[i], 0), "", "%d", i);
		check_prefix(to[i], 0, 9 * MIB + 5);
		if (i % 2)
			ok(e->cpu_copies <= 2 * 8192, "%d went past the cache", i);
		close(to[i]);
	}
	close(from);
	decant_close(d);
}

static void rate(void)
{
	struct decant *d = engine(0);
	int from = fs_pattern_file(FS_EXT4, 8 * MIB, NULL), to = fs_file(FS_EXT4, NULL);
	struct decant_transfer t = direct(decant_file(from, 0), decant_file(to, 0), "direct");
	uint64_t start = kit_now_ns(), took;
	struct track tr;

	t.rate_bytes = 8 * MIB;
	t.flags |= DECANT_PROGRESS_EVENTS;
	ok(track_submit(d, &t, &tr) > 0, "submit: %s", decant_strerror(d));
	track_until(d, &tr, DECANT_ENDED, WAIT_MS);
	took = (kit_now_ns() - start) / 1000000;
	is_str(track_verdict(&tr, 0), "", "how it ended");
	ok(took >= 800 && took < 5000, "8 MiB at 8 MiB/s take a second: %llu ms",
	   (unsigned long long)took);
	ok(tr.seen[DECANT_PROGRESS] >= 3, "progress is told");
	check_prefix(to, 0, 8 * MIB);
	close(from);
	close(to);
	decant_close(d);
}

static void cancel(void)
{
	struct decant *d = engine(0);
	int from = fs_pattern_file(FS_EXT4, 64 * MIB, NULL), to = fs_file(FS_EXT4, NULL);

	for (unsigned wait_us = 0; wait_us <= 20000; wait_us += 2000) {
		struct decant_transfer t = direct(decant_file(from, 0), decant_file(to, 0),
						  "direct");
		struct track tr;

		kit_must(ftruncate(to, 0));
		t.flags |= DECANT_SYNC;
		ok(track_submit(d, &t, &tr) > 0, "submit: %s", decant_strerror(d));
		usleep(wait_us);
		(void)!decant_cancel(d, tr.id);
		track_until(d, &tr, DECANT_ENDED, WAIT_MS);
		ok(tr.seen[DECANT_ENDED] == 1, "it ended");
		if (tr.last[DECANT_ENDED].error)
			is_int(tr.last[DECANT_ENDED].error, -ECANCELED, "cancelled");
		check_prefix(to, 0, tr.last[DECANT_ENDED].bytes);
	}
	close(from);
	close(to);
	decant_close(d);
}

/* Cut at any place, from before the start to the middle of a piece. */
static void shrink_by(const char *route)
{
	static const uint64_t cuts[] = { 0, 1, 4096, MIB, 5 * MIB + 1234, 15 * MIB + 512 };
	struct decant *d = engine(0);

	for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
		for (int during = 0; during < 2; during++) {
			int from = fs_pattern_file(FS_EXT4, 16 * MIB, NULL);
			int to = fs_file(FS_EXT4, NULL);
			struct decant_transfer t = DECANT_TRANSFER_INIT;
			struct decant_event *e;
			struct track tr;

			t.from = decant_file(from, 0);
			t.to = decant_file(to, 0);
			t.len = 16 * MIB;
			t.route = route;
			t.rate_bytes = during ? 100 * MIB : 0;
			if (!during)
				kit_must(ftruncate(from, (off_t)cuts[i]));
			ok(track_submit(d, &t, &tr) > 0, "submit: %s", decant_strerror(d));
			usleep(20000);
			if (during)
				kit_must(ftruncate(from, (off_t)cuts[i]));
			track_until(d, &tr, DECANT_ENDED, WAIT_MS);
			e = &tr.last[DECANT_ENDED];
			is_str(track_verdict(&tr, -ENODATA), "", "cut at %llu",
			       (unsigned long long)cuts[i]);
			is_int(e->offset, e->bytes, "the offset where it ended");
			ok(during || e->bytes == cuts[i], "%llu of %llu bytes came",
			   (unsigned long long)e->bytes, (unsigned long long)cuts[i]);
			ok(!tr.seen[DECANT_DELIVERED], "not delivered");
			check_prefix(to, 0, e->bytes);
			close(from);
			close(to);
		}
	decant_close(d);
}

static void shrink(void)
{
	shrink_by("direct");
	shrink_by("read-write");
	shrink_by("copy-range");
}

/* To the end means to the end that there is, also when it comes sooner. */
static void full_by(const char *dir, struct decant_end from, const char *route, uint64_t len)
{
	struct decant *d = engine(0);
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_event e = { 0 };
	char path[300];
	struct stat st;
	int64_t n;
	int to;

	snprintf(path, sizeof(path), "%s/full", dir);
	to = kit_must(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	t.from = from;
	t.to = decant_file(to, 0);
	t.len = len;
	t.route = route;
	t.flags = DECANT_SYNC;
	n = decant_move(d, &t, &e);
	is_int(n, -ENOSPC, "%s: %s", route, e.message);
	ok(e.bytes > 0 && e.bytes < len, "%s: some of it fits: %llu", route,
	   (unsigned long long)e.bytes);
	kit_must(fstat(to, &st));
	ok((uint64_t)st.st_size >= e.bytes, "the file is as long");
	check_prefix(to, 0, e.bytes);
	close(to);
	kit_must(unlink(path));
	decant_close(d);
}

/* Within one file system, which is what copy_file_range() wants. */
static void full_same(void)
{
	char *dir = fs_small(FS_EXT4, 64), path[300];
	int from;

	snprintf(path, sizeof(path), "%s/source", dir);
	from = kit_must(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	pattern_write(from, 0, 36 * MIB, PATTERN_OLD);
	kit_must(fsync(from));
	full_by(dir, decant_file(from, 0), "copy-range", 36 * MIB);
	full_by(dir, decant_file(from, 0), "direct", 36 * MIB);
	close(from);
	fs_drop(dir);
}

static void full(void)
{
	char *dir = fs_small(FS_EXT4, 24);
	unsigned char *mem = aligned_alloc(4096, 40 * MIB);
	int from = fs_pattern_file(FS_EXT4, 40 * MIB, NULL);

	pattern_fill(mem, 40 * MIB, 0, PATTERN_OLD);
	full_by(dir, decant_file(from, 0), "direct", 40 * MIB);
	full_by(dir, decant_file(from, 0), "read-write", 40 * MIB);
	full_by(dir, decant_memory(mem, 40 * MIB), "direct", 40 * MIB);
	pattern_fill(mem + 9, 39 * MIB, 0, PATTERN_OLD);
	full_by(dir, decant_memory(mem + 9, 39 * MIB), "direct", 39 * MIB);
	full_by(dir, decant_memory(mem + 9, 39 * MIB), "write", 39 * MIB);
	close(from);
	free(mem);
	fs_drop(dir);
}

static void refused(void)
{
	struct decant *d = engine(0), *masked = track_engine(backend, "o_direct");
	int fd = fs_pattern_file(FS_EXT4, MIB, NULL), tmp = fs_pattern_file(FS_TMPFS, MIB, NULL);
	int to = fs_file(FS_EXT4, NULL);
	struct decant_plan p = DECANT_PLAN_INIT;
	struct decant_transfer t = direct(decant_file(fd, 0), decant_file(to, 0), "direct");

	is_int(decant_plan(masked, &t, &p), -ENOTSUP, "masked: %s", decant_strerror(masked));
	is_int(decant_plan(d, &t, &p), 0, "the control: %s", decant_strerror(d));
	t.to.offset = 7;
	is_int(decant_plan(d, &t, &p), -ENOTSUP, "offsets: %s", decant_strerror(d));
	t.to = decant_file(tmp, 0);
	is_int(decant_plan(d, &t, &p), -ENOTSUP, "tmpfs: %s", decant_strerror(d));
	t.route = NULL;
	for (unsigned i = 0; i < 3; i++) {
		static const uint64_t offsets[] = { 0, 4096, MIB - 1 };

		t.flags = 0;
		t.to = decant_file(fd, offsets[i]);
		is_int(decant_plan(d, &t, &p), -ENOTSUP, "onto itself: %s", decant_strerror(d));
	}
	t.to = decant_file(fd, MIB);
	is_int(decant_plan(d, &t, &p), 0, "behind itself: %s", decant_strerror(d));
	kit_must(fcntl(to, F_SETFL, O_APPEND));
	for (const char *const *r =
		     (const char *const[]) { "direct", "reflink", "copy-range", NULL };
	     *r; r++) {
		t.to = decant_file(to, DECANT_CURRENT);
		t.route = *r;
		is_int(decant_plan(d, &t, &p), -ENOTSUP, "appending: %s", decant_strerror(d));
	}
	close(fd);
	close(tmp);
	close(to);
	decant_close(d);
	decant_close(masked);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} cases[] = {
		{ "silent peers hold no memory", silent },
		{ "more transfers than memory", memory },
		{ "a rate", rate },
		{ "cancelled at any time", cancel },
		{ "a source that shrinks", shrink },
		{ "a full disk", full },
		{ "a full disk that the source is on", full_same },
		{ "refusals", refused },
	};

	kit_start(600);
	tap_case_seconds = 60;
	fs_start();
	(void)fs_dir(FS_EXT4);
	(void)fs_dir(FS_TMPFS);
	for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++)
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			char name[100];

			backend = (enum decant_backend)b;
			snprintf(name, sizeof(name), "%s, %s", cases[i].name, track_backends[b]);
			tap_case(name, cases[i].fn);
		}
	return done();
}
