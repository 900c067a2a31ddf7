/* SPDX-License-Identifier: MIT */
/*
 * A source that shrinks under a transfer: a short count and -ENODATA with the
 * right offset; never SIGBUS (it would end the case), never padding, never more
 * said to be moved than was.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fits.h"
#include "lib/kit.h"
#include "lib/leak.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define SHRINK_LEN (4 * MIB)
#define SHRINK_RATE (32 * MIB)
#define SHRINK_AFTER_MS 30

enum shrink_when {
	SHRINK_BEFORE,       /* submission: the file is shorter than promised */
	SHRINK_AHEAD,        /* in mid-transfer, to where it has not been yet */
	SHRINK_BEHIND,       /* in mid-transfer, to less than was moved */
	SHRINK_STALLED,      /* the reader sleeps, buffers are full, cut to nothing */
	SHRINK_LOOP,         /* another thread takes a bit away, again and again */
	SHRINK_WHENS
};

static const char *const shrink_whens[] = { "before", "ahead", "behind", "stalled", "in a loop" };

struct shrink {
	const struct fits *c;
	enum shrink_when when;
	struct decant *d;
	struct decant_transfer t;
	struct source from;
	struct sink to;
	struct track tr;
	uint64_t cut; /* what was left, in the transfer's bytes */
	bool early;   /* SNAPSHOTTED came before the cut */
	bool stop;
};

/* Takes from the end, never gives back: no zero byte was ever in the file. */
static void *shrink_loop(void *arg)
{
	struct shrink *s = arg;
	uint64_t left = s->from.len;

	while (left > 20011 && !__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		left -= 20011;
		source_cut(&s->from, left);
	}
	s->cut = left;
	return NULL;
}

static void shrink_judge(struct shrink *s, const char *what)
{
	const struct decant_event *e = &s->tr.last[DECANT_ENDED];
	const struct pattern_report *r = &s->to.report;
	/* a mapping's last page ends in zeros: that is what this memory holds */
	bool mapped = s->c->from == SOURCE_MAPPED;
	/*
	 * What is in flight without a copy was not snapshotted, and truncating
	 * clears it: the reader may see that, but `bytes` does not count it.
	 */
	bool loose = s->when == SHRINK_LOOP || strcmp(s->c->route, "map-zc") == 0 ||
		     strcmp(s->c->route, "map-msgzc") == 0;
	/* A cut waits for a clone that is being made: it is early without being told. */
	bool early = s->early || strcmp(s->c->route, "clone-sendfile") == 0 ||
		     strcmp(s->c->route, "reflink") == 0;
	uint64_t right = pattern_clean(r) ? s->to.got : r->first_bad - s->to.offset;

	ok(s->tr.wrong[0] == '\0', "%s: events: %s", what, s->tr.wrong);
	if (e->error == 0 && (s->when == SHRINK_LOOP || early)) {
		is_int(e->bytes, s->from.len, "%s: done means all", what);
		ok(!s->c->stable || right == s->from.len, "%s: all right: %s", what,
		   pattern_text(r));
		return;
	}
	if (!mapped || e->error != -EFAULT)
		is_int(e->error, -ENODATA, "%s: %s", what, e->message);
	is_int(e->offset, e->bytes + (mapped ? 0 : s->from.offset), "%s: where it ended", what);
	ok(e->message[0], "%s: there is a sentence", what);
	ok(e->bytes <= s->from.len, "%s: bytes are no more than promised", what);
	if (!s->c->stable)
		return; /* shared pages were cleared under way, as LIVE allows */
	if (mapped) {
		is_int(r->other + r->misplaced + r->foreign, 0, "%s: %s", what, pattern_text(r));
		return;
	}
	ok(right >= e->bytes, "%s: %llu bytes are said to be moved: %s", what,
	   (unsigned long long)e->bytes, pattern_text(r));
	if (!mapped && s->when == SHRINK_BEFORE)
		is_int(e->bytes, s->cut, "%s: all that was there was moved", what);
	/* A slow machine cuts when more was moved already. */
	if (!mapped && s->when == SHRINK_AHEAD)
		ok(e->bytes >= s->cut, "%s: all that was there was moved, %llu of %llu", what,
		   (unsigned long long)e->bytes, (unsigned long long)s->cut);
	if (loose)
		return;
	ok(pattern_clean(r), "%s: no padding: %s", what, pattern_text(r));
	if (sink_is_stream(s->to.kind))
		is_int(s->to.got, e->bytes, "%s: the reader got what was said", what);
}

static void shrink_cut(struct shrink *s)
{
	switch (s->when) {
	case SHRINK_AHEAD:
		kit_sleep_ms(SHRINK_AFTER_MS);
		s->cut = SHRINK_LEN / 4 * 3 + 123;
		break;
	case SHRINK_BEHIND:
		kit_sleep_ms(SHRINK_AFTER_MS);
		s->cut = 5;
		break;
	default:
		track_until(s->d, &s->tr, DECANT_ENDED, 50);
		s->cut = 0;
	}
	(void)track_take(s->d);
	s->early = s->tr.seen[DECANT_SNAPSHOTTED];
	source_cut(&s->from, s->cut);
}

static void shrink_move(struct shrink *s, const char *what)
{
	pthread_t thread;

	if (s->when == SHRINK_BEFORE) {
		s->cut = SHRINK_LEN / 2 + 77;
		source_cut(&s->from, s->cut);
	}
	if (s->when == SHRINK_AHEAD || s->when == SHRINK_BEHIND)
		s->t.rate_bytes = SHRINK_RATE;
	if (s->when == SHRINK_LOOP)
		need(pthread_create(&thread, NULL, shrink_loop, s) == 0, "pthread_create");
	if (!ok(track_submit(s->d, &s->t, &s->tr) > 0, "%s: submit: %s", what,
		decant_strerror(s->d)))
		tap_end_(1);
	if (s->when != SHRINK_BEFORE && s->when != SHRINK_LOOP)
		shrink_cut(s);
	while (!track_until(s->d, &s->tr, DECANT_ENDED, 20))
		sink_drain(&s->to, 256 * KIB, 0);
	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	if (s->when == SHRINK_LOOP)
		pthread_join(thread, NULL);
	sink_finish(&s->to, s->tr.last[DECANT_ENDED].bytes);
	shrink_judge(s, what);
}

static void shrink_run(const struct fits *c, struct decant *d, enum shrink_when when,
		       uint64_t offset)
{
	struct pair_options o = { .small = when == SHRINK_STALLED };
	struct shrink s = { .c = c, .when = when, .d = d, .t = DECANT_TRANSFER_INIT };
	struct decant_plan plan = DECANT_PLAN_INIT;
	char what[80];

	source_open(&s.from, c->from, c->from_fs, offset, SHRINK_LEN);
	sink_open(&s.to, c->to, c->from_fs, offset, SHRINK_LEN, &o);
	s.t.from = s.from.end;
	s.t.to = s.to.end;
	s.t.len = SHRINK_LEN;
	s.t.route = c->route;
	s.t.guarantee = c->stable ? DECANT_STABLE : DECANT_LIVE;
	s.t.checksum = c->checksum;
	snprintf(what, sizeof(what), "%s from %llu", shrink_whens[when],
		 (unsigned long long)offset);
	if (decant_plan(d, &s.t, &plan) == 0)
		shrink_move(&s, what);
	source_close(&s.from);
	sink_close(&s.to);
}

static void shrink_case(const void *arg)
{
	const struct fits *c = arg;
	struct decant *d;
	struct leak before;

	leak_take(&before);
	d = track_engine(c->backend, NULL);
	for (enum shrink_when when = 0; when < SHRINK_WHENS; when++) {
		if (when == SHRINK_STALLED && !sink_is_stream(c->to))
			continue;
		shrink_run(c, d, when, when % 2 ? 8192 + 11 : 0);
		if (kit_full())
			shrink_run(c, d, when, when % 2 ? 0 : 8192 + 11);
	}
	decant_close(d);
	ok(!leak_since(&before, 2000), "closed: %s", leak_since(&before, 0));
}

struct shrink_pair {
	enum source_kind from;
	enum fs_kind fs;
	enum sink_kind to;
	bool sums; /* with checksums too */
};

static const struct shrink_pair shrink_pairs[] = {
	{ SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, true },
	{ SOURCE_FILE, FS_EXT4, SINK_FILE, true },
	{ SOURCE_FILE, FS_EXT4, SINK_UNIX, false },
	{ SOURCE_FILE, FS_EXT4, SINK_PIPE, false },
	{ SOURCE_FILE, FS_EXT4, SINK_MEMORY, false },
	{ SOURCE_FILE, FS_EXT4, SINK_NULL, false },
	{ SOURCE_FILE, FS_XFS, SINK_LOOPBACK, false },
	{ SOURCE_FILE, FS_XFS, SINK_FILE, false },
	{ SOURCE_FILE, FS_TMPFS, SINK_LOOPBACK, false },
	{ SOURCE_FILE, FS_BTRFS, SINK_FILE, false },
	{ SOURCE_DIRECT, FS_EXT4, SINK_LOOPBACK, false },
	{ SOURCE_DIRECT, FS_EXT4, SINK_DIRECT, false },
	{ SOURCE_MAPPED, FS_EXT4, SINK_LOOPBACK, false },
	{ SOURCE_MAPPED, FS_EXT4, SINK_PIPE, false },
	{ SOURCE_MAPPED, FS_EXT4, SINK_FILE, false },
};

#define SHRINK_PAIRS (sizeof(shrink_pairs) / sizeof(shrink_pairs[0]))

/* Every route on every pair, with both backends, plain and with a checksum. */
static unsigned shrink_questions(struct fits *f)
{
	unsigned n = 0;

	for (unsigned p = 0; p < SHRINK_PAIRS; p++)
		for (unsigned r = 0; r < fits_routes(); r++)
			for (unsigned b = 0; b < (shrink_pairs[p].sums || kit_full() ? 4 : 2); b++)
				f[n++] = (struct fits){
					.route = decant_routes()[r],
					.backend = b % 2 ? DECANT_BACKEND_URING
							 : DECANT_BACKEND_THREADS,
					.checksum = b / 2 ? DECANT_CHECKSUM_XXH3 : 0,
					.from = shrink_pairs[p].from,
					.from_fs = shrink_pairs[p].fs,
					.to = shrink_pairs[p].to,
					.to_fs = shrink_pairs[p].fs,
					.len = SHRINK_LEN,
				};
	return n;
}

int main(void)
{
	struct fits *f = fits_alloc((unsigned)SHRINK_PAIRS * fits_routes() * 4);
	unsigned n = shrink_questions(f);

	tap_case_seconds = 30;
	need_root();
	kit_start(600);
	fs_start();
	for (enum fs_kind k = 0; k < FS_KINDS; k++)
		(void)fs_dir(k);
	pair_veth_ready();
	fits_ask(f, n);
	for (unsigned i = 0; i < n; i++) {
		if (!f[i].stable && !f[i].live)
			continue;
		kit_case(shrink_case, &f[i], "%s, %s%s: %s@%s to %s", f[i].route,
			     track_backends[f[i].backend], f[i].checksum ? ", checksum" : "",
			     source_names[f[i].from], fs_names[f[i].from_fs], sink_names[f[i].to]);
	}
	return done();
}
