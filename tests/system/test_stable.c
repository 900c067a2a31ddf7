/* SPDX-License-Identifier: MIT */
/*
 * Stable means stable: for every route that claims it, over every pair that it
 * fits, the reader is held back, SNAPSHOTTED arrives, the source is damaged,
 * and the reader goes on: not one new byte may come, and all that was promised.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/attack.h"
#include "lib/kit.h"
#include "lib/leak.h"
#include "tap.h"

#define STABLE_ROUTES_MAX 40
#define STABLE_ASK (512 * KIB) /* bytes: what is asked about */
#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

struct stable_from {
	enum source_kind kind;
	enum fs_kind fs;
};

struct stable_to {
	enum sink_kind kind;
	enum fs_kind fs;
};

static const struct stable_from stable_froms[] = {
	{ SOURCE_FILE, FS_EXT4 },    { SOURCE_FILE, FS_TMPFS },	 { SOURCE_FILE, FS_XFS },
	{ SOURCE_FILE, FS_BTRFS },   { SOURCE_DIRECT, FS_EXT4 }, { SOURCE_DIRECT, FS_TMPFS },
	{ SOURCE_MEMORY, FS_TMPFS }, { SOURCE_MAPPED, FS_EXT4 }, { SOURCE_PROCESS, FS_TMPFS },
	{ SOURCE_PIPE, FS_TMPFS },   { SOURCE_TCP, FS_TMPFS },	 { SOURCE_UNIX, FS_TMPFS },
};

static const struct stable_to stable_tos[] = {
	{ SINK_LOOPBACK, FS_TMPFS }, { SINK_VETH, FS_TMPFS },	 { SINK_SLOW, FS_TMPFS },
	{ SINK_UNIX, FS_TMPFS },     { SINK_PIPE, FS_TMPFS },	 { SINK_FIFO, FS_TMPFS },
	{ SINK_FILE, FS_EXT4 },	     { SINK_FILE, FS_TMPFS },	 { SINK_FILE, FS_XFS },
	{ SINK_FILE, FS_BTRFS },     { SINK_DIRECT, FS_EXT4 },	 { SINK_MEMORY, FS_TMPFS },
	{ SINK_NULL, FS_TMPFS },
};

#define STABLE_FROMS (sizeof(stable_froms) / sizeof(stable_froms[0]))
#define STABLE_TOS (sizeof(stable_tos) / sizeof(stable_tos[0]))

enum { CLAIM_NONE, CLAIM_STABLE, CLAIM_LIVE };

/* What the planner says of each; shared with the process that asks. */
struct stable_table {
	unsigned char claim[STABLE_ROUTES_MAX][3][STABLE_FROMS][STABLE_TOS];
};

static struct stable_table *table;
static unsigned routes_n;

struct stable_case {
	unsigned route;
	enum decant_backend backend;
	unsigned from, to;
};

static unsigned char stable_ask(struct decant *d, const struct decant_transfer *t)
{
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct decant_transfer u = *t;

	u.guarantee = DECANT_STABLE;
	if (decant_plan(d, &u, &plan) == 0) {
		ok(plan.guarantee == DECANT_STABLE, "%s: asked for STABLE, planned LIVE", u.route);
		ok(strcmp(plan.route, u.route) == 0, "%s forced, %s planned", u.route, plan.route);
		return CLAIM_STABLE;
	}
	u.guarantee = DECANT_LIVE;
	return decant_plan(d, &u, &plan) == 0 ? CLAIM_LIVE : CLAIM_NONE;
}

static void stable_ask_all(void)
{
	const char *const *routes = decant_routes();

	for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++) {
		struct decant *d = track_engine((enum decant_backend)b, NULL);

		for (unsigned f = 0; f < STABLE_FROMS; f++)
			for (unsigned o = 0; o < STABLE_TOS; o++) {
				struct decant_transfer t = DECANT_TRANSFER_INIT;
				struct source from;
				struct sink to;

				source_open(&from, stable_froms[f].kind, stable_froms[f].fs, 0,
					    STABLE_ASK);
				sink_open(&to, stable_tos[o].kind, stable_tos[o].fs, 0, STABLE_ASK,
					  NULL);
				t.from = from.end;
				t.to = to.end;
				t.len = STABLE_ASK;
				for (unsigned r = 0; r < routes_n; r++) {
					t.route = routes[r];
					table->claim[r][b][f][o] = stable_ask(d, &t);
				}
				source_close(&from);
				sink_close(&to);
			}
		decant_close(d);
	}
}

static void stable_one(struct decant *d, struct attack *a)
{
	struct attack_result r;
	const char *verdict;

	attack_run(&r, d, a);
	if (!r.fits)
		return;
	verdict = attack_stable(a, &r);
	ok(verdict[0] == '\0', "%s: %s", attack_text(a), verdict);
}

static bool stable_main(unsigned from)
{
	const struct stable_from *f = &stable_froms[from];

	return f->kind == SOURCE_MEMORY || (f->kind == SOURCE_FILE && f->fs == FS_EXT4);
}

/* The covering part: every source, every sink, but not each with each. */
static bool stable_covers(unsigned from, unsigned to)
{
	enum sink_kind sink = stable_tos[to].kind;
	enum source_kind source = stable_froms[from].kind;

	if (sink == SINK_NULL)
		return false; /* nothing arrives there that could be looked at */
	if (kit_full() || stable_main(from))
		return true;
	if (sink == SINK_FILE)
		return stable_tos[to].fs == stable_froms[from].fs || source >= SOURCE_PROCESS;
	return sink == SINK_LOOPBACK || sink == SINK_PIPE ||
	       (source >= SOURCE_MAPPED && sink != SINK_SLOW && sink != SINK_FIFO);
}

static bool stable_wants(const struct stable_case *c, uint64_t len)
{
	enum sink_kind to = stable_tos[c->to].kind;

	if (kit_full())
		return true;
	if (to == SINK_SLOW)
		return len == 64 * KIB + 1 || len == MIB;
	if (len >= 64 * MIB)
		return stable_main(c->from) && (to == SINK_LOOPBACK || to == SINK_PIPE);
	if (len >= 8 * MIB)
		return stable_main(c->from) && to <= SINK_FILE;
	return stable_main(c->from) || (len != 1 && len != 4 * KIB);
}

static void stable_attack(const void *arg)
{
	static const uint64_t sizes[] = { 1, 100, 4 * KIB, 64 * KIB + 1, MIB, 8 * MIB, 64 * MIB };
	const struct stable_case *c = arg;
	unsigned turn = c->route + c->from + c->to;
	struct decant *d;
	struct leak before;

	leak_take(&before);
	d = track_engine(c->backend, NULL);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct attack a = { .route = decant_routes()[c->route],
				    .from = stable_froms[c->from].kind,
				    .from_fs = stable_froms[c->from].fs,
				    .to = stable_tos[c->to].kind,
				    .to_fs = stable_tos[c->to].fs,
				    .len = sizes[i],
				    .after = DECANT_SNAPSHOTTED };

		if (!stable_wants(c, sizes[i]))
			continue;
		for (int how = 0; how < DAMAGE_KINDS; how++) {
			const struct source s = { .kind = a.from };

			a.damage = (enum damage)how;
			/* in place always, of the others one in turn */
			if (!source_can(&s, a.damage) ||
			    (!kit_full() && how && a.to == SINK_SLOW) ||
			    (!kit_full() && how && (turn + i) % DAMAGE_KINDS != (unsigned)how))
				continue;
			a.offset = i % 2 ? 4096 : 0;
			stable_one(d, &a);
			if (how == DAMAGE_OVERWRITE && sizes[i] <= MIB) {
				a.offset = 4099; /* aligned to nothing */
				a.small = sink_is_stream(a.to) && a.to != SINK_SLOW;
				stable_one(d, &a);
				a.small = false;
			}
		}
	}
	decant_close(d);
	ok(!leak_since(&before, 2000), "closed: %s", leak_since(&before, 0));
}

int main(void)
{
	tap_case_seconds = kit_full() ? 600 : 60;
	need_root();
	kit_start(600);
	fs_start();
	for (enum fs_kind k = 0; k < FS_KINDS; k++)
		(void)fs_dir(k);
	pair_veth_ready();
	while (decant_routes()[routes_n])
		routes_n++;
	need(routes_n <= STABLE_ROUTES_MAX, "more routes than this test's table");
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (!tap_case("every route says what it fits", stable_ask_all))
		return done();
	for (struct stable_case c = { 0 }; c.route < routes_n; c.route++) {
		const char *name = decant_routes()[c.route];
		unsigned claims = 0, live = 0;

		for (c.backend = 1; c.backend <= DECANT_BACKEND_THREADS; c.backend++)
			for (c.from = 0; c.from < STABLE_FROMS; c.from++)
				for (c.to = 0; c.to < STABLE_TOS; c.to++) {
					unsigned char claim =
						table->claim[c.route][c.backend][c.from][c.to];

					claims += claim == CLAIM_STABLE;
					live += claim == CLAIM_LIVE;
					if (claim != CLAIM_STABLE || !stable_covers(c.from, c.to))
						continue;
					kit_case(stable_attack, &c, "%s, %s: %s@%s to %s@%s", name,
						     track_backends[c.backend],
						     source_names[stable_froms[c.from].kind],
						     fs_names[stable_froms[c.from].fs],
						     sink_names[stable_tos[c.to].kind],
						     fs_names[stable_tos[c.to].fs]);
				}
		if (kit_wanted(name))
			ok(claims + live, "%s fits some pair (%u stable, %u live)", name, claims,
			   live);
	}
	return done();
}
