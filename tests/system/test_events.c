/* SPDX-License-Identifier: MIT */
/*
 * What a transfer tells about itself and what was asked of it: progress, rate,
 * checksums, positions, memory limits, the event descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fits.h"
#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/witness.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define EVENTS_MS 20000

/* ---------------------------------------------------------- rate, progress */

/* Both measured by the library's own clock; loose, for this is no real time. */
static void rate_case(const void *arg)
{
	const struct fits *f = arg;
	struct decant *d = track_engine(f->backend, NULL);
	struct decant_transfer t;
	const struct decant_event *e;
	struct source from;
	struct track tr;
	struct sink to;
	uint64_t start;
	double rate;

	t = fits_open(f, &from, &to);
	t.rate_bytes = f->len;
	t.flags = DECANT_PROGRESS_EVENTS;
	start = kit_now_ns();
	ok(track_submit(d, &t, &tr) > 0, "submit: %s", decant_strerror(d));
	while (!track_until(d, &tr, DECANT_ENDED, 10))
		sink_drain(&to, f->len, 0);
	sink_finish(&to, f->len);
	e = &tr.last[DECANT_ENDED];
	is_str(track_verdict(&tr, 0), "", "ended well");
	rate = (double)f->len * 1e9 / (double)(e->time_ns - start) / (double)t.rate_bytes;
	/* Not faster; slower is what a busy machine does. */
	ok(rate > (kit_slow_build() ? 0.01 : 0.3) && rate < 1.3,
	   "%.2f times the rate that was asked for", rate);
	ok(tr.seen[DECANT_PROGRESS] > 0, "there was progress");
	ok(to.got == f->len && pattern_clean(&to.report), "all right: %s",
	   pattern_text(&to.report));
	source_close(&from);
	sink_close(&to);
	decant_close(d);
}

/* ---------------------------------------------------------------- checksums */

static void checksum_hex(char *ret, const uint8_t *digest, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sprintf(ret + 2 * i, "%02x", digest[i]);
}

static void checksum_one(struct decant *d, const struct fits *f, uint64_t len)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct pair_options o = { .holds = len };
	bool sha = f->checksum == DECANT_CHECKSUM_SHA256;
	char want[4352], got[80]; /* xxhsum prints the path first */
	struct source from;
	struct track tr;
	struct sink to;
	char *path;
	int fd = fs_pattern_file(FS_TMPFS, len, &path);

	close(fd);
	/* an independent program's word */
	if (!kit_line(want, sizeof(want), "%s %s", sha ? "sha256sum" : "xxhsum -H3", path))
		bail("%s does not run", sha ? "sha256sum" : "xxhsum");
	unlink(path);
	free(path);
	/* "XXH3 (path) = digest", or "XXH3_digest  path" in later versions */
	if (strstr(want, " = "))
		memmove(want, strstr(want, " = ") + 3, strlen(strstr(want, " = ") + 3) + 1);
	want[strcspn(want, " \n")] = '\0';
	if (strncmp(want, "XXH3_", 5) == 0)
		memmove(want, want + 5, strlen(want + 5) + 1);
	source_open(&from, f->from, f->from_fs, 0, len);
	sink_open(&to, f->to, f->to_fs, 0, len, &o);
	t.from = from.end;
	t.to = to.end;
	t.len = len;
	t.route = f->route;
	t.guarantee = DECANT_LIVE;
	t.checksum = f->checksum;
	ok(track_submit(d, &t, &tr) > 0, "%llu: submit: %s", (unsigned long long)len,
	   decant_strerror(d));
	while (!track_until(d, &tr, DECANT_ENDED, 10))
		sink_drain(&to, len, 0);
	is_str(track_verdict(&tr, 0), "", "%llu bytes", (unsigned long long)len);
	is_int(tr.last[DECANT_ENDED].checksum, f->checksum, "ENDED says which checksum it is");
	checksum_hex(got, tr.last[DECANT_ENDED].digest, sha ? 32 : 8);
	is_str(got, want, "%llu bytes", (unsigned long long)len);
	source_close(&from);
	sink_close(&to);
}

static void checksum_case(const void *arg)
{
	static const uint64_t lens[] = { 1, 4096, 100003, 3 * MIB + 1 };
	const struct fits *f = arg;
	struct decant *d = track_engine(f->backend, NULL);

	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		if (source_possible(f->from, lens[i]))
			checksum_one(d, f, lens[i]);
	decant_close(d);
}

/* ------------------------------------------------------- routes in a table */

static void each_route(const struct fits *pairs, unsigned pairs_n, void (*run)(const void *),
		       const char *what)
{
	struct fits *f = fits_alloc(pairs_n * fits_routes() * 2);
	unsigned n = 0;

	for (unsigned p = 0; p < pairs_n; p++)
		for (unsigned r = 0; r < fits_routes() * 2; r++, n++) {
			f[n] = pairs[p];
			f[n].route = decant_routes()[r / 2];
			f[n].backend = r % 2 ? DECANT_BACKEND_URING : DECANT_BACKEND_THREADS;
		}
	fits_ask(f, n);
	for (unsigned i = 0; i < n; i++)
		if (f[i].live)
			kit_case(run, &f[i], "%s: %s, %s: %s to %s", what, f[i].route,
				     track_backends[f[i].backend], source_names[f[i].from],
				     sink_names[f[i].to]);
}

/* ---------------------------------------------------------------- positions */

/* The descriptor's own position is where the transfer starts, and moves on. */
static void position_case(const void *arg)
{
	struct decant *d = track_engine(*(const enum decant_backend *)arg, NULL);
	int from = fs_pattern_file(FS_EXT4, 100000, NULL), to = fs_file(FS_EXT4, NULL);
	struct pattern_report r = { 0 };
	static const char *const routes[] = { NULL, "read-write", "copy-range", "direct" };

	for (unsigned i = 0; i < 4; i++) {
		struct decant_transfer t = DECANT_TRANSFER_INIT;
		struct decant_plan plan = DECANT_PLAN_INIT;
		struct decant_event e;

		kit_must(lseek(from, 1000, SEEK_SET));
		kit_must(lseek(to, 500, SEEK_SET));
		t.from = decant_file(from, DECANT_CURRENT);
		t.to = decant_file(to, DECANT_CURRENT);
		t.len = 50000;
		t.route = routes[i];
		if (decant_plan(d, &t, &plan) < 0)
			continue;
		is_int(decant_move(d, &t, &e), 50000, "%s: %s", plan.route, e.message);
		is_int(lseek(from, 0, SEEK_CUR), 51000, "%s: the source's position", plan.route);
		is_int(lseek(to, 0, SEEK_CUR), 50500, "%s: the sink's position", plan.route);
		pattern_check_file(&r, to, 500, 50000, 1000, PATTERN_OLD);
		ok(pattern_clean(&r), "%s: %s", plan.route, pattern_text(&r));
		/* a failure moves it on too, by what was moved */
		t.len = 50000;
		is_int(decant_move(d, &t, &e), -ENODATA, "%s: %s", plan.route, e.message);
		is_int(e.bytes, 49000, "%s: what there was", plan.route);
		is_int(lseek(from, 0, SEEK_CUR), 100000, "%s: the source's position", plan.route);
		is_int(lseek(to, 0, SEEK_CUR), 99500, "%s: the sink's position", plan.route);
	}
	decant_close(d);
	close(from);
	close(to);
}

/* --------------------------------------------------------- event descriptor */

static bool readable(int fd, int wait_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, wait_ms) == 1 && pfd.revents & POLLIN;
}

static void eventfd_case(const void *arg)
{
	struct decant *d = track_engine(*(const enum decant_backend *)arg, NULL);
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct pair_options o = { .small = true };
	struct decant_event e;
	struct source from;
	struct pair pair;
	static char buf[64 * 1024];
	int fd = decant_event_fd(d), n, ended = 0;

	need(fd >= 0, "decant_event_fd");
	is_int(decant_event_fd(d), fd, "always the same");
	ok(!readable(fd, 0), "nothing in flight: not readable");
	is_int(decant_wait(d, &e, 1, -1), 0, "nothing in flight: no wait without limit");
	source_open(&from, SOURCE_FILE, FS_EXT4, 0, MIB);
	pair_open(&pair, PAIR_UNIX, &o);
	t.from = from.end;
	t.to = decant_fd(pair.out);
	t.len = MIB;
	ok(decant_submit(d, &t) > 0, "submit");
	while (decant_wait(d, &e, 1, 50) > 0)
		;
	ok(!readable(fd, 20), "events are taken and the peer sleeps: not readable");
	while (!readable(fd, 0) && pair_read(&pair, buf, sizeof(buf), 1000) > 0)
		;
	ok(readable(fd, 2000), "an event: readable");
	ok(readable(fd, 0), "and still, until it is taken");
	for (int i = 0; i < 200 && !ended; i++) {
		/* one at a time: readable as long as there are more */
		if (!readable(fd, 10)) {
			n = decant_wait(d, &e, 1, 0);
			is_int(n, 0, "not readable, so there is no event");
			pair_read(&pair, buf, sizeof(buf), 10);
			continue;
		}
		n = decant_wait(d, &e, 1, 0);
		is_int(n, 1, "readable, so there is an event");
		ended = n == 1 && e.type == DECANT_ENDED;
	}
	ok(ended, "it ends");
	ok(!readable(fd, 20), "all taken: not readable");
	source_close(&from);
	pair_close(&pair);
	decant_close(d);
}

/* ------------------------------------------------------------------- limits */

/* A hundred transfers, with a megabyte of buffers between them. */
static void memory_case(const void *arg)
{
	enum { N = 100 };
	static const char *const routes[] = { "read-zc", "read-send", "direct-zc", NULL };
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct pair_options o = { .small = true };
	struct track tracks[N];
	struct source from;
	struct pair pairs[N];
	struct decant *d = NULL;
	uint64_t rss;

	options.backend = *(const enum decant_backend *)arg;
	options.memory_max_bytes = MIB;
	options.pinned_max_bytes = 256 * KIB;
	options.workers = 2;
	source_open(&from, SOURCE_FILE, FS_EXT4, 0, 4 * MIB);
	for (int i = 0; i < N; i++)
		pair_open(&pairs[i], i % 2 ? PAIR_LOOPBACK : PAIR_VETH, &o);
	need(decant_open(&d, &options) == 0, "opens");
	rss = kit_status("VmRSS");
	for (int i = 0; i < N; i++) {
		struct decant_transfer t = DECANT_TRANSFER_INIT;
		struct decant_plan plan = DECANT_PLAN_INIT;

		t.from = from.end;
		t.to = decant_fd(pairs[i].out);
		t.len = 4 * MIB;
		t.route = routes[i % 4];
		if (decant_plan(d, &t, &plan) < 0)
			t.route = NULL;
		need(track_submit(d, &t, &tracks[i]) > 0, "submit: %s", decant_strerror(d));
	}
	kit_sleep_ms(300);
	(void)track_take(d);
	ok(kit_slow_build() || kit_status("VmRSS") - rss < 16 * KIB, "holds %llu KiB",
	   (unsigned long long)(kit_status("VmRSS") - rss));
	ok(kit_status("VmPin") <= MIB / KIB, "pins %llu KiB",
	   (unsigned long long)kit_status("VmPin"));
	for (int i = 0; i < N; i += 10) {
		struct reader r = { .fd = pairs[i].in, .gen = PATTERN_OLD, .limit = 4 * MIB };

		reader_start(&r);
		reader_go(&r);
		track_until(d, &tracks[i], DECANT_ENDED, EVENTS_MS);
		is_str(track_verdict(&tracks[i], 0), "", "transfer %d", i);
		if (!tracks[i].seen[DECANT_ENDED])
			bail("it starves");
		reader_join(&r);
		ok(pattern_clean(&r.report), "transfer %d: %s", i, pattern_text(&r.report));
	}
	decant_close(d);
	for (int i = 0; i < N; i++)
		pair_close(&pairs[i]);
	source_close(&from);
}

static void busy_case(const void *arg)
{
	enum { MAX = 4 };
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct pair_options o = { .small = true };
	struct track tracks[MAX], extra;
	struct pair pairs[MAX + 1];
	struct decant *d = NULL;
	struct source from;

	options.backend = *(const enum decant_backend *)arg;
	options.transfers_max = MAX;
	need(decant_open(&d, &options) == 0, "opens");
	source_open(&from, SOURCE_FILE, FS_EXT4, 0, MIB);
	t.from = from.end;
	t.len = MIB;
	for (int i = 0; i <= MAX; i++) {
		pair_open(&pairs[i], PAIR_LOOPBACK, &o);
		t.to = decant_fd(pairs[i].out);
		if (i < MAX)
			ok(track_submit(d, &t, &tracks[i]) > 0, "%d of %d", i + 1, MAX);
	}
	is_int(track_submit(d, &t, &extra), -EBUSY, "one more than the maximum");
	ok(decant_strerror(d)[0], "with a sentence: %s", decant_strerror(d));
	ok(decant_cancel(d, tracks[0].id) == 0, "cancel one");
	track_until(d, &tracks[0], DECANT_ENDED, EVENTS_MS);
	ok(track_submit(d, &t, &extra) > 0, "then there is room: %s", decant_strerror(d));
	decant_close(d);
	for (int i = 0; i <= MAX; i++)
		pair_close(&pairs[i]);
	source_close(&from);
}

int main(void)
{
	static const enum decant_backend backends[] = { DECANT_BACKEND_URING,
							DECANT_BACKEND_THREADS };
	static const struct fits rates[] = {
		{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_LOOPBACK, .len = 4 * MIB },
		{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_FILE, .len = 4 * MIB },
		{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_PIPE, .len = 4 * MIB },
		{ .from = SOURCE_MEMORY, .to = SINK_LOOPBACK, .len = 4 * MIB },
	};
#define SUM(f, ffs, t, c) { .from = f, .from_fs = ffs, .to = t, .len = 100003, .checksum = c }
	static const struct fits sums[] = {
		SUM(SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, DECANT_CHECKSUM_XXH3),
		SUM(SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, DECANT_CHECKSUM_SHA256),
		SUM(SOURCE_FILE, FS_EXT4, SINK_FILE, DECANT_CHECKSUM_SHA256),
		SUM(SOURCE_FILE, FS_EXT4, SINK_PIPE, DECANT_CHECKSUM_XXH3),
		SUM(SOURCE_FILE, FS_EXT4, SINK_NULL, DECANT_CHECKSUM_XXH3),
		SUM(SOURCE_MEMORY, FS_EXT4, SINK_UNIX, DECANT_CHECKSUM_SHA256),
		SUM(SOURCE_MEMORY, FS_EXT4, SINK_FILE, DECANT_CHECKSUM_XXH3),
		SUM(SOURCE_PROCESS, FS_EXT4, SINK_UNIX, DECANT_CHECKSUM_XXH3),
		SUM(SOURCE_PIPE, FS_EXT4, SINK_FILE, DECANT_CHECKSUM_SHA256),
		SUM(SOURCE_TCP, FS_EXT4, SINK_MEMORY, DECANT_CHECKSUM_XXH3),
		SUM(SOURCE_TCP, FS_EXT4, SINK_FILE, DECANT_CHECKSUM_XXH3),
	};
#undef SUM

	tap_case_seconds = 60;
	need_root();
	kit_start(600);
	fs_start();
	(void)fs_dir(FS_EXT4);
	(void)fs_dir(FS_TMPFS);
	pair_veth_ready();
	for (int i = 0; i < 2; i++) {
		const enum decant_backend *b = &backends[i];
		const char *name = track_backends[*b];

		kit_case(position_case, b, "%s: the descriptor's position moves on", name);
		kit_case(eventfd_case, b, "%s: the event descriptor", name);
		kit_case(memory_case, b, "%s: limits of memory and pins", name);
		kit_case(busy_case, b, "%s: transfers_max", name);
	}
	each_route(rates, sizeof(rates) / sizeof(rates[0]), rate_case, "rate");
	each_route(sums, sizeof(sums) / sizeof(sums[0]), checksum_case, "checksum");
	return done();
}
