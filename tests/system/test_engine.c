/* SPDX-License-Identifier: MIT */
/*
 * The engine under load: thousands of transfers in flight, peers that sleep,
 * order on one stream, cancelling at any moment, closing in the middle.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/witness.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define ENGINE_MS 30000

static struct decant *engine_open(enum decant_backend b, unsigned workers, unsigned max)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct decant *d = NULL;

	options.backend = b;
	options.workers = workers;
	options.transfers_max = max;
	options.cost_file = "";
	if (decant_open(&d, &options) < 0)
		bail("decant_open");
	return d;
}

/* ---------------------------------------------------------------- thousands */

struct many {
	struct pair pair;
	struct track track;
	struct pattern_report report;
	uint64_t offset, len, got;
};

/* Sockets and pipes with the smallest buffers; nobody reads yet. */
static void many_submit(struct decant *d, struct many *m, unsigned n, int fd, unsigned char *memory,
			uint64_t source_len)
{
	struct pair_options o = { .small = true };

	for (unsigned i = 0; i < n; i++) {
		struct decant_transfer t = DECANT_TRANSFER_INIT;

		pair_open(&m[i].pair, i % 3 ? PAIR_UNIX : PAIR_PIPE, &o);
		m[i].len = 1 + kit_random() % (100 * KIB);
		m[i].offset = kit_random() % (source_len - m[i].len);
		t.from = i % 2 ? decant_file(fd, m[i].offset)
			       : decant_memory(memory + m[i].offset, m[i].len);
		t.to = decant_fd(m[i].pair.out);
		t.len = m[i].len;
		if (track_submit(d, &t, &m[i].track) < 0)
			bail("transfer %u: %s", i, decant_strerror(d));
	}
}

static bool many_read(struct many *m)
{
	unsigned char buf[16 * 1024];
	int64_t n = m->got < m->len ? pair_read(&m->pair, buf, sizeof(buf), 0) : 0;

	if (n <= 0)
		return false;
	pattern_check(&m->report, buf, (uint64_t)n, m->offset + m->got, PATTERN_OLD);
	m->got += (uint64_t)n;
	return true;
}

static void many_judge(struct many *m, unsigned n)
{
	unsigned ended = 0, right = 0, ordered = 0;

	for (unsigned i = 0; i < n; i++) {
		const char *verdict = track_verdict(&m[i].track, 0);

		ended += m[i].track.seen[DECANT_ENDED] == 1;
		ordered += verdict[0] == '\0';
		right += m[i].got == m[i].len && pattern_clean(&m[i].report);
		if (verdict[0] && ordered + 5 > i)
			diag("transfer %u: %s", i, verdict);
	}
	is_int(ended, n, "all have ended, once");
	is_int(ordered, n, "each well, its events in order");
	is_int(right, n, "each with the right bytes");
}

static void many_case(const void *arg)
{
	unsigned n = kit_slow_build() ? 1000 : 5000;
	const enum decant_backend *backend = arg;
	struct rlimit limit = { 20000, 20000 };
	struct many *m = calloc(n, sizeof(*m));
	unsigned char *memory = malloc(4 * MIB);
	uint64_t rss, until;
	struct leak before;
	struct decant *d;
	int fd;

	need(setrlimit(RLIMIT_NOFILE, &limit) == 0, "two descriptors for each");
	pattern_fill(memory, 4 * MIB, 0, PATTERN_OLD);
	fd = fs_pattern_file(FS_EXT4, 4 * MIB, NULL);
	leak_take(&before);
	d = engine_open(*backend, 2, 0);
	rss = kit_status("VmRSS");
	many_submit(d, m, n, fd, memory, 4 * MIB);
	/* every one of them is stuck now; that must not cost much */
	(void)track_take(d);
	kit_sleep_ms(200);
	ok(kit_slow_build() || kit_status("VmRSS") - rss < 128 * KIB + n * 8,
	   "%u stalled transfers hold %llu KiB", n,
	   (unsigned long long)(kit_status("VmRSS") - rss));
	until = kit_now_ns() + (uint64_t)ENGINE_MS * 1000000u * (kit_slow_build() ? 5 : 1);
	for (bool more = true; more && kit_now_ns() < until;) {
		more = false;
		for (unsigned i = 0; i < n; i++) {
			many_read(&m[i]);
			more |= m[i].got < m[i].len || !m[i].track.seen[DECANT_ENDED];
		}
		while (track_take(d))
			;
	}
	many_judge(m, n);
	for (unsigned i = 0; i < n; i++)
		pair_close(&m[i].pair);
	decant_close(d);
	close(fd);
	ok(!leak_since(&before, 2000), "closed: %s", leak_since(&before, 0));
	free(memory);
	free(m);
}

/* ------------------------------------------------ sleepers hold up nobody */

static void sleepers_case(const void *arg)
{
	enum { SLEEPERS = 64 };
	struct decant *d = engine_open(*(const enum decant_backend *)arg, 2, 0);
	static const char *const routes[] = { NULL, "read-send", "map-send", "sendfile", "read-zc",
					      "splice" };
	struct track tracks[SLEEPERS];
	struct pair pairs[SLEEPERS];
	struct witness w;
	int fd = fs_pattern_file(FS_EXT4, 4 * MIB, NULL), sink = fs_file(FS_EXT4, NULL);
	unsigned sleeping = 0;

	for (unsigned i = 0; i < SLEEPERS; i++) {
		struct decant_transfer t = DECANT_TRANSFER_INIT;
		struct pair_options o = { .small = true };
		struct decant_plan plan = DECANT_PLAN_INIT;

		/* some never read, some never write */
		pair_open(&pairs[i],
			  i % 4 == 3 ? PAIR_PIPE
			  : i % 2    ? PAIR_LOOPBACK
				     : PAIR_UNIX,
			  &o);
		t.from = i % 4 == 3 ? decant_pipe(pairs[i].in) : decant_file(fd, 0);
		t.to = i % 4 == 3 ? decant_file(sink, 0) : decant_fd(pairs[i].out);
		t.len = 4 * MIB;
		t.guarantee = DECANT_LIVE;
		t.route = i % 4 == 3 ? NULL : routes[i % 6];
		if (decant_plan(d, &t, &plan) < 0)
			t.route = NULL;
		need(track_submit(d, &t, &tracks[i]) > 0, "submit: %s", decant_strerror(d));
	}
	witness_start(&w, d);
	is_str(witness_end(&w, d), "", "a transfer behind %d sleepers", SLEEPERS);
	is_str(witness_again(d), "", "and two more");
	for (unsigned i = 0; i < SLEEPERS; i++)
		sleeping += !tracks[i].seen[DECANT_ENDED];
	is_int(sleeping, SLEEPERS, "all the sleepers are still there");
	for (unsigned i = 0; i < SLEEPERS; i++)
		is_int(decant_cancel(d, tracks[i].id), 0, "cancel sleeper %u", i);
	for (unsigned i = 0; i < SLEEPERS; i++) {
		track_until(d, &tracks[i], DECANT_ENDED, ENGINE_MS);
		is_str(track_verdict(&tracks[i], -ECANCELED), "", "sleeper %u", i);
	}
	decant_close(d);
	for (unsigned i = 0; i < SLEEPERS; i++)
		pair_close(&pairs[i]);
	close(fd);
	close(sink);
}

/* ------------------------------------------------------ order on one stream */

#define ORDER_N 40

/* One stream, many transfers; the one at `bad` has less than it promised. */
static void order_run(struct decant *d, enum pair_kind kind, int bad)
{
	static struct track tracks[ORDER_N];
	struct pair_options o = { .small = true };
	uint64_t len[ORDER_N], sum = 0;
	struct reader r = { .gen = PATTERN_OLD };
	struct pair pair;
	int fd = fs_pattern_file(FS_EXT4, 8 * MIB, NULL);
	unsigned char *memory = malloc(8 * MIB);

	pattern_fill(memory, 8 * MIB, 0, PATTERN_OLD);
	pair_open(&pair, kind, &o);
	r.fd = pair.in;
	reader_start(&r);
	for (int i = 0; i < ORDER_N; i++) {
		struct decant_transfer t = DECANT_TRANSFER_INIT;

		len[i] = i == bad ? 100 : 1 + kit_random() % (i % 5 ? 20 * KIB : 500 * KIB);
		t.from = i % 2 ? decant_memory(memory + sum, len[i]) : decant_file(fd, sum);
		t.len = len[i];
		if (i == bad) {
			t.from = decant_file(fd, 8 * MIB - 40);
			t.len = 100;
		}
		t.to = decant_fd(pair.out);
		t.flags = i % 3 ? DECANT_MORE : 0;
		need(track_submit(d, &t, &tracks[i]) > 0, "submit %d: %s", i, decant_strerror(d));
		sum += bad < 0 || i < bad ? len[i] : 0;
		if (i == ORDER_N / 2)
			reader_go(&r);
	}
	for (int i = 0; i < ORDER_N; i++) {
		int want = bad < 0 || i < bad ? 0 : i == bad ? -ENODATA : -ECANCELED;

		track_until(d, &tracks[i], DECANT_ENDED, ENGINE_MS);
		is_str(track_verdict(&tracks[i], want), "", "transfer %d of %d, %d is bad", i,
		       ORDER_N, bad);
		if (want == -ECANCELED)
			is_int(tracks[i].last[DECANT_ENDED].bytes, 0, "nothing of it was sent");
	}
	close(pair.out);
	pair.out = -1;
	reader_join(&r);
	if (bad < 0)
		ok(r.bytes == sum && pattern_clean(&r.report), "%llu of %llu bytes in order: %s",
		   (unsigned long long)r.bytes, (unsigned long long)sum, pattern_text(&r.report));
	else
		is_int(r.bytes, sum + 40,
		       "what was before the bad one, and of that what was there");
	pair_close(&pair);
	free(memory);
	close(fd);
}

static void order_case(const void *arg)
{
	struct decant *d = engine_open(*(const enum decant_backend *)arg, 4, 0);

	for (int i = 0; i < 3; i++) {
		order_run(d, PAIR_LOOPBACK, i ? (int)(kit_random() % ORDER_N) : -1);
		order_run(d, PAIR_UNIX, i ? (int)(kit_random() % ORDER_N) : -1);
		order_run(d, PAIR_PIPE, i ? (int)(kit_random() % ORDER_N) : -1);
	}
	is_str(witness_again(d), "", "the engine goes on");
	decant_close(d);
}

/* -------------------------------------------------------------- cancelling */

static void cancel_once(struct decant *d, unsigned round)
{
	static const char *const routes[] = { NULL, "map-zc", "map-send", "read-zc", "read-send",
					      "sendfile", "splice", "map-msgzc", "direct-splice" };
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	uint64_t len = 1 + kit_random() % (3 * MIB);
	struct pair_options o = { .small = round % 3 == 0 };
	struct reader r = { .gen = PATTERN_OLD };
	const struct decant_event *e;
	struct source from;
	struct track tr;
	struct pair pair;
	int c;

	source_open(&from, round % 5 ? SOURCE_FILE : SOURCE_MEMORY, FS_EXT4, 0, len);
	pair_open(&pair, (enum pair_kind[]){ PAIR_LOOPBACK, PAIR_UNIX, PAIR_PIPE }[round % 3], &o);
	r.fd = pair.in;
	reader_start(&r);
	if (round % 2)
		reader_go(&r);
	t.from = from.end;
	t.to = decant_fd(pair.out);
	t.len = len;
	t.guarantee = DECANT_LIVE;
	t.route = routes[round % (sizeof(routes) / sizeof(routes[0]))];
	if (decant_plan(d, &t, &plan) < 0)
		t.route = NULL;
	need(track_submit(d, &t, &tr) > 0, "submit: %s", decant_strerror(d));
	usleep((useconds_t)(kit_random() % 800));
	c = decant_cancel(d, tr.id);
	ok(c == 0 || c == -ENOENT, "cancel: %d", c);
	track_until(d, &tr, DECANT_ENDED, ENGINE_MS);
	e = &tr.last[DECANT_ENDED];
	if (!(round % 2))
		reader_go(&r);
	close(pair.out);
	pair.out = -1;
	reader_join(&r);
	is_str(track_verdict(&tr, e->error == -ECANCELED ? e->error : 0), "", "round %u, %s", round,
	       t.route ? t.route : plan.route);
	ok(e->error || e->bytes == len, "done means all");
	is_int(r.bytes, e->bytes, "round %u, %s: the reader got what was said", round,
	       e->route);
	ok(pattern_clean(&r.report), "round %u: %s", round, pattern_text(&r.report));
	source_close(&from);
	pair_close(&pair);
}

static void cancel_case(const void *arg)
{
	struct decant *d = engine_open(*(const enum decant_backend *)arg, 2, 0);

	for (unsigned i = 0; i < 200; i++)
		cancel_once(d, i);
	is_str(witness_again(d), "", "the engine goes on");
	decant_close(d);
}

/* ------------------------------------------------------------------ closing */

static void close_case(const void *arg)
{
	enum { IN_FLIGHT = 100 };
	static const char *const routes[] = { NULL, "map-zc", "read-zc", "zc", "read-send" };
	struct pair_options o = { .small = true };
	struct pair pairs[IN_FLIGHT];
	struct source from[IN_FLIGHT];
	struct leak before;
	uint64_t start;

	leak_take(&before);
	for (unsigned wait_us = 0; wait_us < 3000; wait_us += 700) {
		struct decant *d = engine_open(*(const enum decant_backend *)arg, 2, 0);

		for (unsigned i = 0; i < IN_FLIGHT; i++) {
			pair_open(&pairs[i], i % 3 ? PAIR_LOOPBACK : PAIR_PIPE, &o);
			source_open(&from[i], i % 2 ? SOURCE_FILE : SOURCE_MEMORY, FS_EXT4, 0, MIB);
		}
		for (unsigned i = 0; i < IN_FLIGHT; i++) {
			struct decant_transfer t = DECANT_TRANSFER_INIT;
			struct decant_plan plan = DECANT_PLAN_INIT;

			t.from = from[i].end;
			t.to = decant_fd(pairs[i].out);
			t.len = MIB;
			t.route = routes[i % 5];
			if (decant_plan(d, &t, &plan) < 0)
				t.route = NULL;
			ok(decant_submit(d, &t) > 0, "submit: %s", decant_strerror(d));
		}
		usleep(wait_us);
		start = kit_now_ns();
		decant_close(d);
		ok(kit_now_ns() - start < UINT64_C(5000000000), "closing takes no time");
		/* What is in the sockets' queues without a copy is pinned by them. */
		for (unsigned i = 0; i < IN_FLIGHT; i++) {
			source_close(&from[i]);
			pair_close(&pairs[i]);
		}
		ok(!leak_since(&before, 2000), "closed: %s", leak_since(&before, 0));
	}
}

/* ------------------------------------------------- engines beside each other */

static void *beside_run(void *arg)
{
	struct decant *d = engine_open(*(const enum decant_backend *)arg, 2, 0);
	static __thread char text[600];

	for (int i = 0; i < 20 && !text[0]; i++)
		snprintf(text, sizeof(text), "%s", witness_again(d));
	decant_close(d);
	return text[0] ? strdup(text) : NULL;
}

static void beside_case(const void *arg)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		need(pthread_create(&threads[i], NULL, beside_run, (void *)(uintptr_t)arg) == 0,
		     "pthread_create");
	for (int i = 0; i < 4; i++) {
		void *text;

		pthread_join(threads[i], &text);
		ok(text == NULL, "engine %d: %s", i, (char *)text);
		free(text);
	}
}

int main(void)
{
	static const enum decant_backend backends[] = { DECANT_BACKEND_URING,
							DECANT_BACKEND_THREADS };

	tap_case_seconds = 60;
	need_root();
	kit_start(600);
	fs_start();
	(void)fs_dir(FS_EXT4);
	pair_veth_ready();
	for (int i = 0; i < 2; i++) {
		const enum decant_backend *b = &backends[i];
		const char *name = track_backends[*b];

		kit_case(many_case, b, "%s: thousands in flight", name);
		kit_case(sleepers_case, b, "%s: sleeping peers hold up nobody", name);
		kit_case(order_case, b, "%s: transfers to one stream keep their order", name);
		kit_case(cancel_case, b, "%s: cancelled at any moment", name);
		kit_case(close_case, b, "%s: closed with transfers in flight", name);
		kit_case(beside_case, b, "%s: engines in four threads", name);
	}
	return done();
}
