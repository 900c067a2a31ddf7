/* SPDX-License-Identifier: MIT */
/*
 * The controls of test_stable: on LIVE routes, and with the damage done before
 * SNAPSHOTTED, the same attack must see new bytes, so that none being seen
 * there means something.  And sources that change all the time.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/attack.h"
#include "lib/kit.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

struct live_case {
	struct attack attack;
	const char *needs; /* fact without which the kernel shares nothing */
};

static bool live_fact(struct decant *d, const char *name)
{
	struct decant_fact facts[64];
	int n = decant_facts(d, facts, 64);

	for (int i = 0; i < n && i < 64; i++)
		if (strcmp(facts[i].name, name) == 0)
			return facts[i].state == DECANT_YES;
	bail("no fact is called %s", name);
}

static void live_case(const void *arg)
{
	const struct live_case *c = arg;

	for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++) {
		struct decant *d = track_engine((enum decant_backend)b, NULL);
		struct attack_result r;

		if (c->needs && !live_fact(d, c->needs))
			skip("this kernel: no %s", c->needs);
		attack_run(&r, d, &c->attack);
		ok(r.fits, "%s: %s", attack_text(&c->attack), r.why);
		is_str(track_verdict(&r.track, 0), "", "%s: ended well", attack_text(&c->attack));
		ok(r.track.last[DECANT_SNAPSHOTTED].flags & DECANT_NOT_CERTAIN,
		   "%s: SNAPSHOTTED is marked as not certain", attack_text(&c->attack));
		is_int(r.got, c->attack.len, "everything came");
		ok(r.report.gens[PATTERN_NEW] > 0, "%s: no new byte seen: %s",
		   attack_text(&c->attack), pattern_text(&r.report));
		ok(r.report.zero + r.report.misplaced + r.report.foreign == 0,
		   "old or new, nothing else: %s", pattern_text(&r.report));
		decant_close(d);
	}
}

/* LIVE, ended as soon as the kernel has it, then overwritten. */
static void live_controls(void)
{
#define LIVE(r, f, ffs, t, fact)                                                          \
	{                                                                                 \
		{ .route = r, .from = f, .from_fs = ffs, .to = t, .len = 256 * KIB,       \
		  .damage = DAMAGE_OVERWRITE, .after = DECANT_ENDED,                      \
		  .guarantee = DECANT_LIVE, .until = DECANT_UNTIL_SENT },                 \
			fact                                                              \
	}
	static const struct live_case cases[] = {
		LIVE("sendfile", SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, "splice_shares"),
		LIVE("sendfile", SOURCE_FILE, FS_TMPFS, SINK_VETH, "splice_shares"),
		LIVE("sendfile", SOURCE_FILE, FS_EXT4, SINK_UNIX, "splice_shares"),
		LIVE("splice", SOURCE_FILE, FS_EXT4, SINK_PIPE, "splice_shares"),
		LIVE("splice", SOURCE_FILE, FS_TMPFS, SINK_LOOPBACK, "splice_shares"),
		LIVE("vmsplice", SOURCE_MEMORY, FS_TMPFS, SINK_PIPE, "vmsplice_shares"),
	};
#undef LIVE
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		kit_case(live_case, &cases[i], "control: %s to %s shows new bytes",
			     cases[i].attack.route, sink_names[cases[i].attack.to]);
}

/* A promise that is kept, broken by us: the damage comes before SNAPSHOTTED. */
static void live_early(const void *arg)
{
	const struct attack *a = arg;
	struct decant *d = track_engine(DECANT_BACKEND_AUTO, NULL);
	struct attack_result r;

	attack_run(&r, d, a);
	ok(r.fits, "%s: %s", attack_text(a), r.why);
	ok(r.damaged_early, "%s: the damage came before SNAPSHOTTED", attack_text(a));
	is_str(track_verdict(&r.track, 0), "", "%s: ended well", attack_text(a));
	ok(r.report.gens[PATTERN_NEW] > 0, "%s: no new byte seen: %s", attack_text(a),
	   pattern_text(&r.report));
	decant_close(d);
}

static void live_early_controls(void)
{
	static const struct attack attacks[] = {
		{ .route = "map-zc", .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_SLOW,
		  .len = 512 * KIB, .delay_ms = 100 },
		{ .route = "map-msgzc", .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_SLOW,
		  .len = 512 * KIB, .delay_ms = 100 },
		{ .route = "zc", .from = SOURCE_MEMORY, .to = SINK_SLOW, .len = 512 * KIB,
		  .delay_ms = 100 },
	};

	for (unsigned i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		kit_case(live_early, &attacks[i],
			     "control: %s, damaged before SNAPSHOTTED, shows new bytes",
			     attacks[i].route);
}

/* ------------------------------------------- a source that never holds still */

struct live_writer {
	int fd;
	uint64_t len;
	bool stop;
	pthread_t thread;
};

/* Generations 3 and 1 in turn; 2 is for after SNAPSHOTTED. */
static void *live_write(void *arg)
{
	struct live_writer *w = arg;

	for (unsigned gen = 3; !__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE); gen = 4 - gen)
		pattern_write(w->fd, 0, w->len, gen);
	return NULL;
}

static void live_unrest(const void *arg)
{
	const char *route = arg;
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct decant *d = track_engine(DECANT_BACKEND_AUTO, NULL);
	struct live_writer w = { .len = 4 * MIB };
	struct pair_options o = { .holds = w.len };
	struct sink to;
	struct track tr;

	w.fd = fs_pattern_file(FS_EXT4, w.len, NULL);
	sink_open(&to, SINK_LOOPBACK, FS_TMPFS, 0, w.len, &o);
	t.from = decant_file(w.fd, 0);
	t.to = to.end;
	t.len = w.len;
	t.route = route;
	if (decant_plan(d, &t, &plan) < 0)
		bail("%s: %s", route, decant_strerror(d));
	need(pthread_create(&w.thread, NULL, live_write, &w) == 0, "pthread_create");
	kit_sleep_ms(10);
	need(track_submit(d, &t, &tr) > 0, "submit: %s", decant_strerror(d));
	while (!track_until(d, &tr, DECANT_SNAPSHOTTED, 20) && !tr.seen[DECANT_ENDED])
		sink_drain(&to, 65536, 0);
	__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
	pthread_join(w.thread, NULL);
	pattern_write(w.fd, 0, w.len, PATTERN_NEW);
	while (!track_until(d, &tr, DECANT_ENDED, 20))
		sink_drain(&to, MIB, 0);
	sink_finish(&to, w.len);
	is_str(track_verdict(&tr, 0), "", "%s: ended well", route);
	is_int(to.got, w.len, "%s: everything came", route);
	is_int(to.report.gens[PATTERN_NEW], 0, "%s: nothing from after SNAPSHOTTED: %s", route,
	       pattern_text(&to.report));
	is_int(to.report.zero + to.report.gens[0] + to.report.misplaced, 0,
	       "%s: every byte is one that the source held: %s", route, pattern_text(&to.report));
	sink_close(&to);
	close(w.fd);
	decant_close(d);
}

int main(void)
{
	static const char *const stable[] = { "map-zc",	     "map-msgzc", "map-send",
					      "read-zc",     "direct-zc", "direct-splice",
					      "read-send" };

	tap_case_seconds = 40;
	need_root();
	kit_start(240);
	fs_start();
	(void)fs_dir(FS_EXT4);
	(void)fs_dir(FS_TMPFS);
	pair_veth_ready();
	live_controls();
	live_early_controls();
	for (unsigned i = 0; i < sizeof(stable) / sizeof(stable[0]); i++)
		kit_case(live_unrest, stable[i], "%s from a file that is written all the time",
			     stable[i]);
	return done();
}
