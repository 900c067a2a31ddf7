/* SPDX-License-Identifier: MIT */
/*
 * process/track: nothing is left behind, in victims of every kind, and no page
 * table, huge page or moment of theirs is taken that need not be.
 */
#include <fcntl.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>
#include <pthread.h>

#include "lib/forked.h"
#include "lib/kit.h"
#include "lib/remote.h"
#include "lib/tracked.h"
#include "lib/victims.h"
#include "process/track_state.h"
#include "sys/fault.h"
#include "tap.h"

/* ------------------------------------------------------- leaves nothing behind */

static long victim_tables(uintptr_t arg)
{
	(void)arg;
	return (long)kit_status("VmPTE");
}

static long victim_maps(uintptr_t arg)
{
	int fd = open("/proc/self/maps", O_RDONLY);
	char c[4096];
	long lines = 0;
	ssize_t n;

	(void)arg;
	while ((n = read(fd, c, sizeof(c))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += c[i] == '\n';
	close(fd);
	return lines;
}

static long victim_huge_kib(uintptr_t arg)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[200];
	long kib = 0;

	(void)arg;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "AnonHugePages: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static long victim_sparse(uintptr_t len)
{
	char *p = forked_put(0, len, RW, ANON | MAP_NORESERVE);

	madvise(p, len, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < len; at += 1ul << 36)
		p[at] = 1;
	return 0;
}

static void test_sparse(void)
{
	const size_t len = 1ul << 42;
	struct ranges written = RANGES_INIT;
	struct forked f;
	struct track *tr = tracked_begin(&f, NULL, victim_sparse, len);
	long tables = forked_do(&f, victim_tables, 0), maps = forked_do(&f, victim_maps, 0);
	uint64_t t = kit_now_ns();

	tracked_look(tr, len, true, &written);
	diag("4 TiB with 64 pages: first round %llu us",
	     (unsigned long long)(kit_now_ns() - t) / 1000);
	is_int(ranges_bytes(&written), 64 * PAGE, "what is there");
	/* The victim needs one or another for itself. */
	ok(forked_do(&f, victim_tables, 0) - tables <= 64, "no page tables are made");
	forked_do(&f, tracked_write, 123456);
	tracked_look(tr, len, true, &written);
	is_int(ranges_bytes(&written), PAGE, "a page that is new");
	ok(forked_do(&f, victim_tables, 0) - tables <= 64, "has one for itself");
	t = kit_now_ns();
	tracked_look(tr, len, false, &written);
	diag("in the stop %llu us", (unsigned long long)(kit_now_ns() - t) / 1000);
	ok(!ranges_has(&written, AT) && !ranges_has(&written, AT + 123456 * PAGE),
	   "what was not written is not told, holes are");
	t = kit_now_ns();
	track_close(tr);
	diag("close %llu us", (unsigned long long)(kit_now_ns() - t) / 1000);
	ok(forked_do(&f, victim_tables, 0) - tables <= 64, "nor does closing make any");
	is_int(forked_do(&f, victim_maps, 0), maps, "and as many mappings as before");
	ranges_free(&written);
	forked_end(&f);
}

static void test_huge(void)
{
	struct ranges written = RANGES_INIT;
	struct forked f;
	struct track *tr = tracked_begin(&f, NULL, tracked_huge, 64 * MIB);
	long huge = forked_do(&f, victim_huge_kib, 0);

	if (huge < 60 * 1024)
		skip("no huge pages to be had");
	for (int i = 0; i < 3; i++)
		tracked_look(tr, 64 * MIB, true, &written);
	tracked_look(tr, 64 * MIB, false, &written);
	is_int(ranges_bytes(&written), 0, "nothing was written");
	is_int(forked_do(&f, victim_huge_kib, 0), huge, "huge pages are whole");
	forked_do(&f, tracked_write, 1000);
	forked_do(&f, tracked_write, 1001);
	tracked_look(tr, 64 * MIB, true, &written);
	is_int(ranges_bytes(&written), 2 * PAGE, "a write is told by the page");
	is_int(forked_do(&f, victim_huge_kib, 0), huge - 2048, "one huge page is split");
	track_close(tr);
	is_int(forked_do(&f, victim_huge_kib, 0), huge - 2048, "closing splits none");
	ranges_free(&written);
	forked_end(&f);
}

static long victim_fds(uintptr_t arg)
{
	long n = 0;

	(void)arg;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_close(void)
{
	struct ranges written = RANGES_INIT;
	struct forked f;
	struct track *tr;
	long maps, fds;

	forked_start(&f, NULL);
	forked_do(&f, tracked_small, LEN);
	forked_do(&f, tracked_fill, LEN);
	forked_open(&f);
	maps = forked_do(&f, victim_maps, 0);
	fds = forked_do(&f, victim_fds, 0);
	need(track_adopt(&tr, f.target, tracked_steal(&f), NULL) == 0, "adopt");
	is_int(track_arm(tr, AT, AT + LEN, NULL), 0, "arm");
	tracked_look(tr, LEN, true, &written);
	track_close(tr);
	is_int(forked_do(&f, victim_maps, 0), maps, "as many mappings as before");
	is_int(forked_do(&f, victim_fds, 0), fds, "as many descriptors");
	for (size_t i = 0; i < LEN / PAGE; i += 16)
		forked_do(&f, tracked_write, i);
	need(track_adopt(&tr, f.target, tracked_steal(&f), NULL) == 0, "adopt");
	is_int(track_arm(tr, AT, AT + LEN, NULL), 0, "another one can follow");
	tracked_look(tr, LEN, false, &written);
	is_int(ranges_bytes(&written), LEN, "which begins anew");
	ranges_free(&written);
	tracked_end(&f, tr);
}

/* -------------------------------------------------------------- other processes */

/* Opened by a call in a stop, of victims that look whether they are harmed. */
static int act_track(struct remote *r, struct call *c)
{
	return track_open(r->arg, TRACK_WP, r->k.target, c, &r->err);
}

struct prey {
	const char *victim;
	unsigned habits;
};

static void track_all(struct track *tr, const struct maps *m, struct ranges *written, bool again)
{
	struct err e = { "" };

	ranges_clear(written);
	for (size_t i = 0; i < m->n; i++)
		if (track_can(TRACK_WP, &m->v[i], NULL) &&
		    track_scan(tr, m->v[i].start, m->v[i].end, again, written, &e) < 0)
			bail("%s", e.text);
}

static void test_victim(const void *arg)
{
	const struct prey *p = arg;
	struct ranges written = RANGES_INIT;
	struct track *tr = NULL;
	struct victim v;
	struct remote r;
	unsigned armed = 0;
	uint64_t first;

	victim_begin(&v, p->habits, "%s", p->victim);
	remote_open(&r, v.pid, act_track);
	r.arg = &tr;
	is_int(remote_once(&r), 0, "opened: %s", r.err.text);
	need(tr, "track");
	diag("the call took %llu us", (unsigned long long)r.act_ns / 1000);
	need(maps_read(r.k.target, MAPS_SMAPS, &r.maps, &r.err) == 0, "maps");
	for (size_t i = 0; i < r.maps.n; i++)
		if (track_can(TRACK_WP, &r.maps.v[i], NULL))
			armed += track_arm(tr, r.maps.v[i].start, r.maps.v[i].end, &r.err) == 0;
	ok(armed > 5, "%u of %zu mappings are tracked", armed, r.maps.n);
	track_all(tr, &r.maps, &written, true);
	first = ranges_bytes(&written);
	track_all(tr, &r.maps, &written, true);
	ok(ranges_bytes(&written) < first, "%llu bytes at first, then %llu",
	   (unsigned long long)first, (unsigned long long)ranges_bytes(&written));
	track_all(tr, &r.maps, &written, false);
	track_close(tr);
	ranges_free(&written);
	remote_close(&r);
	is_str(victim_harm(&v), NULL, "it is not harmed");
	victim_end(&v);
}

#ifdef DECANT_FAULTS
static int act_track_and_close(struct remote *r, struct call *c)
{
	struct track *tr = NULL;
	int ret = track_open(&tr, TRACK_WP, r->k.target, c, &r->err);

	track_close(tr);
	return ret;
}

/* We die at each step: no descriptor is left, no child. */
static void test_deaths(const void *arg)
{
	const struct prey *p = arg;
	struct victim v;
	struct sweep s = { .v = &v, .act = act_track_and_close, .first = 1,
			   .step = kit_full() ? 1 : 3 };

	victim_begin(&v, p->habits, "%s", p->victim);
	remote_sweep(&s);
	is_int(s.whole, true, "to the end: %u steps", s.steps);
	is_int(s.harmed, 0, "%u deaths, harmed: %s", s.deaths, s.what);
	ok(s.deaths > 10, "%u deaths", s.deaths);
	victim_end(&v);
}
#endif

static const struct prey preys[] = {
	{ "life threads --n 9", 0 },
	{ "life leader", 0 },
	{ "life seccomp", 0 },
	{ "life waiter --ms 1", VICTIM_FAMILY },
	{ "life ending --n 3", VICTIM_MAPS | VICTIM_THREADS },
	{ "blocker epoll_wait --ms 4", 0 },
	{ "stacks plain --as-init", 0 },
};

/* ---------------------------------------------------------------------- time */

#define GIB (1024 * MIB)

/* How long the longest of a thread's mmap and munmap took. */
static _Atomic uint64_t *stall_ns;

static void *thread_maps(void *arg)
{
	for (;;) {
		uint64_t t = kit_now_ns();
		char *p = mmap(NULL, 16 * PAGE, RW, ANON, -1, 0);

		if (p == MAP_FAILED)
			_exit(9);
		*p = 1;
		munmap(p, 16 * PAGE);
		t = kit_now_ns() - t;
		if (t > *stall_ns)
			*stall_ns = t;
	}
	return arg;
}

static long victim_gib(uintptr_t huge)
{
	pthread_t t;
	char *p = forked_put(0, GIB, RW, ANON);

	madvise(p, GIB, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(p, 1, GIB);
	return pthread_create(&t, NULL, thread_maps, NULL);
}

static void time_end(const char *what, uint64_t since)
{
	uint64_t took = kit_now_ns() - since, stall;

	kit_sleep_ms(20); /* for one that waits */
	stall = *stall_ns;
	diag("1 GiB, %s: %llu us; longest mmap+munmap meanwhile %llu us", what,
	     (unsigned long long)took / 1000, (unsigned long long)stall / 1000);
	*stall_ns = 0;
}

static void test_time(const void *arg)
{
	bool huge = *(const bool *)arg;
	struct ranges written = RANGES_INIT;
	struct track *tr;
	struct forked f;
	uint64_t t;

	stall_ns = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	forked_start(&f, NULL);
	forked_do(&f, victim_gib, huge);
	forked_open(&f);
	for (int once = 0; once < 2; once++) {
		need(track_adopt(&tr, f.target, tracked_steal(&f), NULL) == 0, "adopt");
		time_end("nothing", kit_now_ns());
		t = kit_now_ns();
		is_int(track_arm(tr, AT, AT + GIB, NULL), 0, "arm");
		time_end("arm", t);
		t = kit_now_ns();
		tracked_look(tr, GIB, true, &written);
		time_end("first round", t);
		t = kit_now_ns();
		tracked_look(tr, GIB, true, &written);
		time_end("next round", t);
		t = kit_now_ns();
		tracked_look(tr, GIB, false, &written);
		time_end("the stop's scan", t);
		if (once) /* for comparison: the kernel does it all at the last close */
			tr->armed.n = 0;
#ifdef DECANT_FAULTS
		sys_fault_arm(&(struct sys_fault_plan){ .nth = 0, .name = "uffdio_unregister" });
#endif
		t = kit_now_ns();
		track_close(tr);
#ifdef DECANT_FAULTS
		if (!once)
			ok(sys_fault_calls() >= 128, "left in %lu pieces", sys_fault_calls());
		sys_fault_disarm();
#endif
		time_end(once ? "close at once" : "close", t);
	}
	ranges_free(&written);
	forked_end(&f);
}

int main(void)
{
	need_root();
	kit_start(240);
	if (!tracked_can())
		skip_all("this kernel has no asynchronous write protection");
	tap_case("4 TiB of nothing", test_sparse);
	tap_case("huge pages", test_huge);
	tap_case("closing", test_close);
	for (size_t i = 0; i < sizeof(preys) / sizeof(preys[0]); i++)
		kit_case(test_victim, &preys[i], "of %s", preys[i].victim);
#ifdef DECANT_FAULTS
	for (size_t i = 0; i < 2; i++)
		kit_case(test_deaths, &preys[i], "deaths, %s", preys[i].victim);
#endif
	kit_case(test_time, &(bool){ false }, "time");
	kit_case(test_time, &(bool){ true }, "time, huge pages");
	return done();}
