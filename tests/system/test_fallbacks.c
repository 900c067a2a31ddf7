/* SPDX-License-Identifier: MIT */
/*
 * Every fact masked, one at a time and in groups: the same moves still work,
 * with the same results and the same events in both backends, and what is
 * refused says which fact it lacks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fits.h"
#include "lib/kit.h"
#include "lib/leak.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define FALL_LEN (300 * KIB + 5)
#define FALL_FACTS_MAX 64
#define FALL_MS 20000

static const struct fits fall_pairs[] = {
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_LOOPBACK },
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_UNIX },
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_PIPE },
	{ .from = SOURCE_FILE, .from_fs = FS_TMPFS, .to = SINK_FIFO },
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_FILE, .to_fs = FS_EXT4 },
	{ .from = SOURCE_FILE, .from_fs = FS_XFS, .to = SINK_FILE, .to_fs = FS_XFS },
	{ .from = SOURCE_FILE, .from_fs = FS_BTRFS, .to = SINK_FILE, .to_fs = FS_TMPFS },
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_MEMORY },
	{ .from = SOURCE_MEMORY, .to = SINK_LOOPBACK },
	{ .from = SOURCE_MEMORY, .to = SINK_FIFO },
	{ .from = SOURCE_MEMORY, .to = SINK_FILE, .to_fs = FS_EXT4 },
	{ .from = SOURCE_PROCESS, .to = SINK_UNIX },
	{ .from = SOURCE_PIPE, .to = SINK_FILE, .to_fs = FS_EXT4 },
	{ .from = SOURCE_PIPE, .to = SINK_LOOPBACK },
	{ .from = SOURCE_TCP, .to = SINK_FILE, .to_fs = FS_EXT4 },
	{ .from = SOURCE_UNIX, .to = SINK_PIPE },
	{ .from = SOURCE_TCP, .to = SINK_MEMORY },
};

#define FALL_PAIRS (sizeof(fall_pairs) / sizeof(fall_pairs[0]))

/* Names of all facts, and which routes fit which pair when nothing is masked. */
struct fall_known {
	char facts[FALL_FACTS_MAX][32];
	unsigned facts_n;
	bool fits[FALL_PAIRS][DECANT_ROUTES_MAX];
};

static struct fall_known *known;

struct fall_open {
	struct decant_transfer t;
	struct source from;
	struct sink to;
};

static void fall_ends(struct fall_open *o, const struct fits *f)
{
	struct pair_options po = { .holds = FALL_LEN };

	o->t = (struct decant_transfer)DECANT_TRANSFER_INIT;
	source_open(&o->from, f->from, f->from_fs, 0, FALL_LEN);
	sink_open(&o->to, f->to, f->to_fs, 0, FALL_LEN, &po);
	o->t.from = o->from.end;
	o->t.to = o->to.end;
	o->t.len = FALL_LEN;
}

static void fall_close(struct fall_open *o)
{
	source_close(&o->from);
	sink_close(&o->to);
}

static void fall_learn(const void *arg)
{
	struct decant *d = track_engine(DECANT_BACKEND_AUTO, NULL);
	struct decant_fact facts[FALL_FACTS_MAX];
	int n = decant_facts(d, facts, FALL_FACTS_MAX);

	(void)arg;
	need(n > 0 && n <= FALL_FACTS_MAX, "facts");
	known->facts_n = (unsigned)n;
	for (int i = 0; i < n; i++) {
		memcpy(known->facts[i], facts[i].name, 32);
		ok(facts[i].state != DECANT_UNKNOWN, "%s is known after asking", facts[i].name);
		ok(facts[i].why[0] && facts[i].what[0], "%s has its words", facts[i].name);
		ok(!facts[i].masked, "%s is not masked", facts[i].name);
	}
	for (unsigned p = 0; p < FALL_PAIRS; p++) {
		struct fall_open o;

		fall_ends(&o, &fall_pairs[p]);
		for (unsigned r = 0; r < fits_routes(); r++) {
			struct decant_plan plan = DECANT_PLAN_INIT;

			o.t.route = decant_routes()[r];
			o.t.guarantee = DECANT_LIVE;
			known->fits[p][r] = decant_plan(d, &o.t, &plan) == 0;
		}
		fall_close(&o);
	}
	decant_close(d);
}

/* What the two backends must agree on. */
struct fall_seen {
	char route[24];
	unsigned seen[DECANT_ENDED + 1];
	uint32_t delivered_flags;
	uint64_t bytes;
};

static void fall_move(struct fall_seen *ret, struct decant *d, const struct fits *f,
		      const char *what)
{
	struct fall_open o;
	struct track tr;
	uint64_t until = kit_now_ns() + (uint64_t)FALL_MS * 1000000u;

	fall_ends(&o, f);
	if (!ok(track_submit(d, &o.t, &tr) > 0, "%s: %s", what, decant_strerror(d))) {
		fall_close(&o);
		return;
	}
	while (!track_until(d, &tr, DECANT_ENDED, 5) && kit_now_ns() < until)
		sink_drain(&o.to, FALL_LEN, 0);
	is_str(track_verdict(&tr, 0), "", "%s", what);
	if (!tr.seen[DECANT_ENDED])
		bail("%s: it hangs", what);
	sink_finish(&o.to, FALL_LEN);
	ok(o.to.got == FALL_LEN && pattern_clean(&o.to.report), "%s, %s: %s", what,
	   tr.last[DECANT_ENDED].route, pattern_text(&o.to.report));
	memcpy(ret->route, tr.last[DECANT_ENDED].route, sizeof(ret->route));
	memcpy(ret->seen, tr.seen, sizeof(ret->seen));
	ret->delivered_flags = tr.last[DECANT_DELIVERED].flags & ~(uint32_t)DECANT_COPIED;
	ret->bytes = tr.last[DECANT_ENDED].bytes;
	fall_close(&o);
}

/* A route that fits without the mask and does not with it names the fact. */
static void fall_refusals(struct decant *d, const char *mask, unsigned p)
{
	struct fall_open o;

	fall_ends(&o, &fall_pairs[p]);
	for (unsigned r = 0; r < fits_routes(); r++) {
		struct decant_plan plan = DECANT_PLAN_INIT;
		char facts[400], *state = NULL;
		bool named = false;

		o.t.route = decant_routes()[r];
		o.t.guarantee = DECANT_LIVE;
		if (!known->fits[p][r] || decant_plan(d, &o.t, &plan) == 0)
			continue;
		snprintf(facts, sizeof(facts), "%s", mask);
		for (char *s = strtok_r(facts, ",", &state); s; s = strtok_r(NULL, ",", &state))
			named |= strcasestr(decant_strerror(d), s) != NULL;
		ok(named, "%s is refused without %s: \"%s\" names it", o.t.route, mask,
		   decant_strerror(d));
		is_int(decant_submit(d, &o.t), -ENOTSUP, "and is not accepted");
	}
	fall_close(&o);
}

static void fall_case(const void *arg)
{
	const char *mask = arg;
	bool ring = !strstr(mask, "io_uring");
	struct leak before;
	struct decant *d[2];

	leak_take(&before);
	d[0] = track_engine(ring ? DECANT_BACKEND_URING : DECANT_BACKEND_AUTO, mask);
	d[1] = track_engine(DECANT_BACKEND_THREADS, mask);
	for (unsigned p = 0; p < FALL_PAIRS; p++) {
		const struct fits *f = &fall_pairs[p];
		struct fall_seen seen[2] = { 0 };
		char what[120];

		for (int i = 0; i < 2; i++) {
			snprintf(what, sizeof(what), "%s, %s to %s", i ? "threads" : "uring",
				 source_names[f->from], sink_names[f->to]);
			fall_move(&seen[i], d[i], f, what);
		}
		for (int e = DECANT_SNAPSHOTTED; e <= DECANT_ENDED; e++)
			is_int(seen[0].seen[e], seen[1].seen[e], "%s: event %d as often", what, e);
		is_int(seen[0].delivered_flags, seen[1].delivered_flags,
		       "%s: DELIVERED means the same", what);
		is_int(seen[0].bytes, seen[1].bytes, "%s: as many bytes", what);
		fall_refusals(d[0], mask, p);
	}
	decant_close(d[0]);
	decant_close(d[1]);
	ok(!leak_since(&before, 1000), "closed: %s", leak_since(&before, 0));
}

static void fall_words(const void *arg)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct decant_fact facts[FALL_FACTS_MAX];
	struct decant *d = NULL;
	int n;

	(void)arg;
	options.mask = "no_such_fact";
	is_int(decant_open(&d, &options), -EINVAL, "an unknown fact");
	ok(d == NULL, "and no engine");
	options.mask = "splice,,sendfile";
	n = decant_open(&d, &options);
	ok(n == 0 || n == -EINVAL, "an empty word: %d", n);
	decant_close(n == 0 ? d : NULL);
	need(setenv("DECANT_MASK", "tee,splice", 1) == 0, "setenv");
	options.mask = "sendfile";
	need(decant_open(&d, &options) == 0, "opens");
	n = decant_facts(d, facts, FALL_FACTS_MAX);
	for (int i = 0; i < n; i++) {
		bool masked = !strcmp(facts[i].name, "tee") || !strcmp(facts[i].name, "splice") ||
			      !strcmp(facts[i].name, "sendfile");

		is_int(facts[i].masked, masked, "%s: option and environment add up", facts[i].name);
		if (masked)
			is_int(facts[i].state, DECANT_NO, "%s: a masked fact is a no",
			       facts[i].name);
	}
	is_int(decant_facts(d, facts, 1), n, "how many there are, whatever fits");
	is_int(decant_facts(d, NULL, 0), n, "also where there is no room");
	decant_close(d);
	need(setenv("DECANT_MASK", "nonsense", 1) == 0, "setenv");
	is_int(decant_open(&d, NULL), -EINVAL, "an unknown fact in the environment");
}

int main(void)
{
	static const char *const groups[] = {
		"io_uring,send_zc,send_zc_report",
		"io_uring,send_zc,msg_zerocopy",
		"splice,sendfile,tee,vmsplice",
		"splice_direct,o_direct,statx_dioalign",
		"pipe_reopen,pipe_nowait",
		"pipe_reopen,pipe_nowait,file_nowait,splice,sendfile,vmsplice",
		"copy_file_range,reflink,o_direct",
	};
	static char everything[FALL_FACTS_MAX * 32];

	tap_case_seconds = 60;
	need_root();
	kit_start(400);
	fs_start();
	for (enum fs_kind k = 0; k < FS_KINDS; k++)
		(void)fs_dir(k);
	pair_veth_ready();
	known = mmap(NULL, sizeof(*known), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	need(known != MAP_FAILED, "mmap");
	if (!tap_case_arg(fall_learn, NULL, "facts, and what fits with all of them"))
		return done();
	tap_case_arg(fall_words, NULL, "the words of a mask");
	kit_case(fall_case, "", "nothing masked");
	for (unsigned i = 0; i < known->facts_n; i++) {
		kit_case(fall_case, known->facts[i], "without %s", known->facts[i]);
		snprintf(everything + strlen(everything), 34, "%s%s", i ? "," : "",
			 known->facts[i]);
	}
	for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		kit_case(fall_case, groups[i], "without %s", groups[i]);
	kit_case(fall_case, everything, "without anything");
	return done();
}
