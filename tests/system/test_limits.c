/* SPDX-License-Identifier: MIT */
/*
 * Limits that are reached: a full disk, the largest file, locked memory, open
 * files.  A clear error or another way, nothing leaked, and life goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fits.h"
#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/witness.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define LIMIT_MS 20000

/* --------------------------------------------------------------- full disk */

struct full_case {
	const char *route;
	enum source_kind from;
	enum fs_kind fs;
	bool direct;
};

static void full_move(struct decant *d, const struct full_case *c, int fd)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct pattern_report r = { 0 };
	const struct decant_event *e;
	struct source from;
	struct track tr;

	source_open(&from, c->from, c->fs, 0, 24 * MIB);
	t.from = from.end;
	t.to = decant_file(fd, 0);
	t.len = 24 * MIB;
	t.route = c->route;
	if (decant_plan(d, &t, &plan) < 0) {
		if (!kit_refusal_is_right(decant_strerror(d)))
			skip("does not fit here: %s", decant_strerror(d));
		ok(true, "refused: %s", decant_strerror(d));
		source_close(&from);
		return;
	}
	if (ok(track_submit(d, &t, &tr) > 0, "submit: %s", decant_strerror(d)))
		track_until(d, &tr, DECANT_ENDED, LIMIT_MS);
	e = &tr.last[DECANT_ENDED];
	is_str(track_verdict(&tr, -ENOSPC), "", "a full disk");
	ok(e->bytes < 24 * MIB, "not everything fits");
	ok(!tr.seen[DECANT_DELIVERED], "not delivered");
	kit_must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_DIRECT));
	is_int(pattern_check_file(&r, fd, 0, e->bytes, 0, PATTERN_OLD), e->bytes,
	       "what was said to be moved is there");
	ok(pattern_clean(&r), "and right: %s", pattern_text(&r));
	source_close(&from);
}

static void full_case(const void *arg)
{
	const struct full_case *c = arg;
	char *dir = fs_small(c->fs, 16);

	for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++) {
		struct leak before;
		struct witness w;
		struct decant *d;
		char path[300];
		int fd;

		leak_take(&before);
		d = track_engine((enum decant_backend)b, NULL);
		witness_start(&w, d);
		snprintf(path, sizeof(path), "%s/full", dir);
		fd = kit_must(open(path, O_RDWR | O_CREAT | O_CLOEXEC | (c->direct ? O_DIRECT : 0),
				   0600));
		full_move(d, c, fd);
		close(fd);
		unlink(path);
		is_str(witness_end(&w, d), "", "the other transfer does not notice");
		is_str(witness_again(d), "", "the engine goes on");
		decant_close(d);
		ok(!leak_since(&before, 1000), "closed: %s", leak_since(&before, 0));
	}
	fs_drop(dir);
}

/* ------------------------------------------------------------ RLIMIT_FSIZE */

static void fsize_case(const void *arg)
{
	const char *route = arg;
	struct rlimit limit = { 1 * MIB, RLIM_INFINITY };

	for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++) {
		struct decant_transfer t = DECANT_TRANSFER_INIT;
		struct decant_plan plan = DECANT_PLAN_INIT;
		struct decant *d;
		struct source from;
		struct track tr;
		struct sink to;

		source_open(&from, SOURCE_FILE, FS_EXT4, 0, 4 * MIB);
		sink_open(&to, SINK_FILE, FS_EXT4, 0, 4 * MIB, NULL);
		signal(SIGXFSZ, SIG_IGN);
		kit_must(setrlimit(RLIMIT_FSIZE, &limit));
		d = track_engine((enum decant_backend)b, NULL);
		t.from = from.end;
		t.to = to.end;
		t.len = 4 * MIB;
		t.route = route;
		if (decant_plan(d, &t, &plan) < 0) {
			if (!kit_refusal_is_right(decant_strerror(d)))
				skip("does not fit here: %s", decant_strerror(d));
			ok(true, "refused: %s", decant_strerror(d));
			decant_close(d);
			source_close(&from);
			sink_close(&to);
			return;
		}
		ok(track_submit(d, &t, &tr) > 0, "submit: %s", decant_strerror(d));
		track_until(d, &tr, DECANT_ENDED, LIMIT_MS);
		is_str(track_verdict(&tr, -EFBIG), "", "more than RLIMIT_FSIZE");
		ok(tr.last[DECANT_ENDED].bytes <= 1 * MIB, "not more than the limit");
		sink_finish(&to, tr.last[DECANT_ENDED].bytes);
		ok(pattern_clean(&to.report), "what came is right: %s", pattern_text(&to.report));
		limit.rlim_cur = RLIM_INFINITY;
		kit_must(setrlimit(RLIMIT_FSIZE, &limit));
		limit.rlim_cur = 1 * MIB;
		is_str(witness_again(d), "", "the engine goes on");
		decant_close(d);
		source_close(&from);
		sink_close(&to);
	}
}

/* ------------------------------------------------------------ locked memory */

struct memlock_case {
	const char *route; /* NULL: the planner's */
	enum source_kind from;
	uint64_t limit;
};

/* Nobody's uid: for root the limit does not hold. */
static void memlock_drop(uint64_t bytes)
{
	struct rlimit limit = { bytes, bytes };

	kit_must(setrlimit(RLIMIT_MEMLOCK, &limit));
	kit_must(setgroups(0, NULL));
	kit_must(setgid(65534));
	kit_must(setuid(54321));
}

static void memlock_case(const void *arg)
{
	const struct memlock_case *c = arg;
	struct decant_transfer t[3];
	struct source from[3];
	struct track tr[3];
	struct sink to[3];
	struct pair_options o = { .rate_kbit = 64000, .holds = 2 * MIB };
	uint64_t len = 2 * MIB, until;

	for (int i = 0; i < 3; i++) {
		source_open(&from[i], c->from, FS_EXT4, 0, len);
		sink_open(&to[i], SINK_SLOW, FS_TMPFS, 0, len, &o);
	}
	memlock_drop(c->limit);
	for (int b = DECANT_BACKEND_AUTO; b <= DECANT_BACKEND_THREADS; b++) {
		struct decant_options options = DECANT_OPTIONS_INIT;
		struct decant *d = NULL;
		int r;

		options.backend = (uint32_t)b;
		options.cost_file = "";
		r = decant_open(&d, &options);
		/* the ring itself is charged: it may not be had where it is demanded */
		ok(r == 0 || ((r == -EOPNOTSUPP || r == -ENOMEM) && b == DECANT_BACKEND_URING),
		   "%s: opens: %d", track_backends[b], r);
		if (r < 0)
			continue;
		for (int i = 0; i < 3; i++) {
			struct decant_plan plan = DECANT_PLAN_INIT;

			t[i] = (struct decant_transfer)DECANT_TRANSFER_INIT;
			t[i].from = from[i].end;
			t[i].to = to[i].end;
			t[i].len = len;
			t[i].route = c->route;
			tr[i] = (struct track){ 0 };
			if (decant_plan(d, &t[i], &plan) < 0) {
				diag("%s: refused: %s", track_backends[b], decant_strerror(d));
				t[i].route = NULL;
			}
			ok(track_submit(d, &t[i], &tr[i]) > 0, "submit: %s", decant_strerror(d));
		}
		until = kit_now_ns() + (uint64_t)LIMIT_MS * 1000000u;
		for (int i = 0; i < 3; i++) {
			while (!track_until(d, &tr[i], DECANT_ENDED, 10) && kit_now_ns() < until)
				for (int k = 0; k < 3; k++)
					sink_drain(&to[k], len, 0);
			is_str(track_verdict(&tr[i], 0), "", "%s: transfer %d",
			       track_backends[b], i);
			while (sink_drain(&to[i], len, to[i].got < len ? 2000 : 0))
				;
			ok(to[i].got == len && pattern_clean(&to[i].report), "%s: all came: %s",
			   track_backends[b], pattern_text(&to[i].report));
			to[i].got = 0;
		}
		ok(kit_status("VmPin") * KIB <= c->limit, "no more pinned than allowed");
		decant_close(d);
	}
	for (int i = 0; i < 3; i++) {
		source_close(&from[i]);
		sink_close(&to[i]);
	}
}

/* -------------------------------------------------------------- descriptors */

static int nofile_next(void)
{
	int fd = kit_must(dup(0));

	close(fd);
	return fd;
}

static void nofile_set(int n)
{
	struct rlimit limit;

	kit_must(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = (rlim_t)n;
	kit_must(setrlimit(RLIMIT_NOFILE, &limit));
}

/* Open with 0, 1, 2, ... descriptors to spare, until it works. */
static void nofile_open(void)
{
	for (int b = DECANT_BACKEND_AUTO; b <= DECANT_BACKEND_THREADS; b++) {
		struct decant_options options = DECANT_OPTIONS_INIT;
		struct leak before;
		struct decant *d = NULL;
		int r = -EMFILE, spare;

		options.backend = (uint32_t)b;
		leak_take(&before);
		for (spare = 0; spare < 40 && r < 0; spare++) {
			nofile_set(nofile_next() + spare);
			r = decant_open(&d, &options);
			nofile_set(20000);
			if (r < 0) {
				ok(d == NULL, "nothing is returned on failure");
				/* io_uring not to be had may be said of that backend */
				ok(r == -EMFILE || (b == DECANT_BACKEND_URING && r == -EOPNOTSUPP),
				   "%s, %d spare: %d", track_backends[b], spare, r);
				ok(!leak_since(&before, 1000), "%s, %d spare: %s",
				   track_backends[b], spare, leak_since(&before, 0));
			}
		}
		is_int(r, 0, "%s: opens with %d to spare", track_backends[b], spare - 1);
		if (r == 0)
			is_str(witness_again(d), "", "and works");
		decant_close(d);
		ok(!leak_since(&before, 1000), "%s: %s", track_backends[b], leak_since(&before, 0));
	}
}

/* Transfers with 0, 1, 2, ... descriptors to spare: right, or a clear error. */
static void nofile_move(struct decant *d, const struct fits *f, int spare, int *ret)
{
	struct decant_transfer t;
	struct source from;
	struct track tr;
	struct sink to;
	int64_t id;

	t = fits_open(f, &from, &to);
	nofile_set(nofile_next() + spare);
	id = track_submit(d, &t, &tr);
	for (int i = 0; id > 0 && i < 1000 && !track_until(d, &tr, DECANT_ENDED, 10); i++)
		sink_drain(&to, f->len, 0);
	nofile_set(20000);
	*ret = id < 0 ? (int)id : tr.last[DECANT_ENDED].error;
	ok(*ret == 0 || *ret == -EMFILE || *ret == -ENOTSUP, "%d spare: %d: %s", spare, *ret,
	   id < 0 ? decant_strerror(d) : tr.last[DECANT_ENDED].message);
	if (id > 0) {
		ok(tr.seen[DECANT_ENDED], "%d spare: it ends", spare);
		sink_finish(&to, tr.last[DECANT_ENDED].bytes);
		ok(pattern_clean(&to.report), "%d spare: %s", spare, pattern_text(&to.report));
		ok(*ret || to.got == f->len, "%d spare: done means all", spare);
	}
	source_close(&from);
	sink_close(&to);
}

static void nofile_case(const void *arg)
{
	const struct fits *f = arg;
	struct leak before;

	leak_take(&before);
	for (int spare = 0; spare < 12; spare++) {
		/* fresh: pools are empty and facts not yet known */
		struct decant *d = track_engine(f->backend, NULL);
		int r = 0;

		nofile_move(d, f, spare, &r);
		nofile_move(d, f, 100, &r);
		is_int(r, 0, "with enough of them it works");
		decant_close(d);
	}
	ok(!leak_since(&before, 1000), "closed: %s", leak_since(&before, 0));
}

static void nofile_cases(void)
{
	static const struct fits pairs[] = {
		{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_LOOPBACK },
		{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_FIFO },
		{ .from = SOURCE_FILE, .from_fs = FS_XFS, .to = SINK_FILE, .to_fs = FS_XFS },
		{ .from = SOURCE_PIPE, .to = SINK_FILE },
		{ .from = SOURCE_TCP, .to = SINK_FILE },
		{ .from = SOURCE_UNIX, .to = SINK_PIPE },
		{ .from = SOURCE_MEMORY, .to = SINK_PIPE },
	};
	unsigned n = 0, pairs_n = sizeof(pairs) / sizeof(pairs[0]);
	struct fits *f = fits_alloc(pairs_n * fits_routes() * 2);

	for (unsigned p = 0; p < pairs_n; p++)
		for (unsigned r = 0; r < fits_routes() * 2; r++, n++) {
			f[n] = pairs[p];
			f[n].route = decant_routes()[r / 2];
			f[n].backend = r % 2 ? DECANT_BACKEND_URING : DECANT_BACKEND_THREADS;
			f[n].len = 256 * KIB;
		}
	fits_ask(f, n);
	for (unsigned i = 0; i < n; i++)
		if (f[i].live)
			kit_case(nofile_case, &f[i], "%s, %s, %s to %s: few descriptors left",
				     f[i].route, track_backends[f[i].backend],
				     source_names[f[i].from], sink_names[f[i].to]);
}

int main(void)
{
	static const struct full_case fulls[] = {
		{ NULL, SOURCE_FILE, FS_EXT4, false },
		{ NULL, SOURCE_FILE, FS_TMPFS, false },
		{ "copy-range", SOURCE_FILE, FS_EXT4, false },
		{ "direct", SOURCE_FILE, FS_EXT4, false },
		{ "direct", SOURCE_FILE, FS_EXT4, true },
		{ "read-write", SOURCE_FILE, FS_EXT4, false },
		{ "write", SOURCE_MEMORY, FS_EXT4, false },
		{ "direct", SOURCE_MEMORY, FS_EXT4, false },
		{ "write", SOURCE_MEMORY, FS_TMPFS, false },
	};
	static const char *const fsize[] = { "copy-range", "direct", "read-write", "reflink",
					     NULL };
	static const struct memlock_case memlocks[] = {
		{ NULL, SOURCE_FILE, 0 },	 { NULL, SOURCE_FILE, 64 * KIB },
		{ "map-zc", SOURCE_FILE, 0 },	 { "map-zc", SOURCE_FILE, 256 * KIB },
		{ "map-msgzc", SOURCE_FILE, 0 }, { "map-msgzc", SOURCE_FILE, 256 * KIB },
		{ "read-zc", SOURCE_FILE, 0 },	 { "read-zc", SOURCE_FILE, 256 * KIB },
		{ "direct-zc", SOURCE_FILE, 64 * KIB },
		{ "zc", SOURCE_MEMORY, 0 },	 { "zc", SOURCE_MEMORY, 256 * KIB },
		{ "msgzc", SOURCE_MEMORY, 64 * KIB },
	};
	struct pair veth;

	tap_case_seconds = 60;
	need_root();
	kit_start(600);
	fs_start();
	for (enum fs_kind k = 0; k < FS_KINDS; k++)
		(void)fs_dir(k);
	pair_open(&veth, PAIR_SLOW, &(struct pair_options){ .rate_kbit = 64000 });
	pair_close(&veth);
	for (unsigned i = 0; i < sizeof(fulls) / sizeof(fulls[0]); i++)
		kit_case(full_case, &fulls[i], "%s, %s to %s%s: the disk is full",
			 fulls[i].route ? fulls[i].route : "planned", source_names[fulls[i].from],
			 fs_names[fulls[i].fs], fulls[i].direct ? ", O_DIRECT" : "");
	for (unsigned i = 0; i < 5; i++)
		kit_case(fsize_case, fsize[i], "%s: RLIMIT_FSIZE",
			     fsize[i] ? fsize[i] : "planned");
	for (unsigned i = 0; i < sizeof(memlocks) / sizeof(memlocks[0]); i++)
		kit_case(memlock_case, &memlocks[i], "%s: RLIMIT_MEMLOCK of %llu",
			     memlocks[i].route ? memlocks[i].route : "planned",
			     (unsigned long long)memlocks[i].limit);
	tap_case("an engine needs few descriptors and says so", nofile_open);
	nofile_cases();
	return done();
}
