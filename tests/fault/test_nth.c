/* SPDX-License-Identifier: MIT */
/*
 * Every system call of a transfer fails once: the Nth call of each scenario,
 * for N = 1, 2, ... until a run has no failure.  Never a hang, never a "done"
 * that is not, never a byte said to be moved that was not; nothing leaked, and
 * the engine works afterwards.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fits.h"
#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/witness.h"
#include "sys/fault.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define NTH_MAX 3000     /* calls that one scenario may make */
#define NTH_HANG_MS 5000
#define NTH_LEN (200 * KIB + 13)

enum nth_mode { NTH_PLAUSIBLE, NTH_SHORT, NTH_EINTR, NTH_EAGAIN, NTH_ENOMEM, NTH_MODES };

static const char *const nth_modes[] = { "errors", "short counts", "EINTR", "EAGAIN", "ENOMEM" };

/* Route by ends; what else is asked for in turn (see nth_transfer). */
static const struct fits nth_pairs[] = {
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_LOOPBACK },
	{ .from = SOURCE_FILE, .from_fs = FS_TMPFS, .to = SINK_UNIX },
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_PIPE },
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_FIFO },
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_FILE, .to_fs = FS_EXT4 },
	{ .from = SOURCE_FILE, .from_fs = FS_XFS, .to = SINK_FILE, .to_fs = FS_XFS },
	{ .from = SOURCE_FILE, .from_fs = FS_XFS, .to = SINK_LOOPBACK },
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_MEMORY },
	{ .from = SOURCE_FILE, .from_fs = FS_EXT4, .to = SINK_NULL },
	{ .from = SOURCE_DIRECT, .from_fs = FS_EXT4, .to = SINK_DIRECT, .to_fs = FS_EXT4 },
	{ .from = SOURCE_MEMORY, .to = SINK_LOOPBACK },
	{ .from = SOURCE_MEMORY, .to = SINK_PIPE },
	{ .from = SOURCE_MEMORY, .to = SINK_FILE, .to_fs = FS_EXT4 },
	{ .from = SOURCE_PROCESS, .to = SINK_UNIX },
	{ .from = SOURCE_PIPE, .to = SINK_FILE, .to_fs = FS_EXT4 },
	{ .from = SOURCE_PIPE, .to = SINK_UNIX },
	{ .from = SOURCE_TCP, .to = SINK_FILE, .to_fs = FS_EXT4 },
	{ .from = SOURCE_TCP, .to = SINK_PIPE },
	{ .from = SOURCE_UNIX, .to = SINK_LOOPBACK },
};

#define NTH_PAIRS (sizeof(nth_pairs) / sizeof(nth_pairs[0]))

struct nth {
	const struct fits *f;
	struct decant *d;
	struct decant_transfer t;
	struct source from;
	struct sink to;
	struct track tr;
	bool accepted;
	int64_t id;
};

/* ---------------------------------------------------------------- the judge */

/*
 * What is wrong with the outcome; "": nothing.  claim: bytes that are said to
 * be moved, right: bytes that are right at the sink, from the first on.
 */
static const char *nth_judge(bool ended, int error, uint64_t claim, uint64_t right, uint64_t len)
{
	static char text[160];

	text[0] = '\0';
	if (!ended)
		snprintf(text, sizeof(text), "it hangs");
	else if (error == 0 && (claim != len || right != len))
		snprintf(text, sizeof(text), "\"done\", with %llu of %llu bytes right",
			 (unsigned long long)right, (unsigned long long)len);
	else if (error > 0)
		snprintf(text, sizeof(text), "ended with %d", error);
	else if (right < claim)
		snprintf(text, sizeof(text), "%llu bytes are said to be moved, %llu are right",
			 (unsigned long long)claim, (unsigned long long)right);
	return text;
}

/* The judge sees what it is there for. */
static void nth_control(void)
{
	is_str(nth_judge(true, 0, 100, 100, 100), "", "all is well");
	is_str(nth_judge(true, -EIO, 50, 70, 100), "", "an error, and more came than is said");
	ok(nth_judge(true, 0, 100, 99, 100)[0], "a swallowed error: done, and a byte is wrong");
	ok(nth_judge(true, 0, 99, 99, 100)[0], "done, and short");
	ok(nth_judge(true, -EIO, 60, 59, 100)[0], "more is said than came");
	ok(nth_judge(false, 0, 0, 0, 100)[0], "a hang");
	ok(nth_judge(true, EIO, 0, 0, 100)[0], "a positive error");
}

static uint64_t nth_right(const struct nth *n)
{
	if (n->to.kind == SINK_NULL)
		return n->tr.last[DECANT_ENDED].bytes;
	return pattern_clean(&n->to.report) ? n->to.got
					    : n->to.report.first_bad - n->to.offset;
}

/* ------------------------------------------------------------- one transfer */

static void nth_open(struct nth *n, const struct fits *f, struct decant *d, unsigned turn)
{
	struct pair_options o = { .holds = NTH_LEN };

	*n = (struct nth){ .f = f, .d = d, .t = DECANT_TRANSFER_INIT };
	source_open(&n->from, f->from, f->from_fs, 0, NTH_LEN);
	sink_open(&n->to, f->to, f->to_fs, 0, NTH_LEN, &o);
	n->t.from = n->from.end;
	n->t.to = n->to.end;
	n->t.len = NTH_LEN;
	n->t.route = f->route;
	n->t.guarantee = f->stable ? DECANT_STABLE : DECANT_LIVE;
	if (turn % 3 == 1 && !sink_is_stream(f->to))
		n->t.flags |= DECANT_SYNC;
	if (turn % 4 == 2)
		n->t.flags |= DECANT_PROGRESS_EVENTS;
	if (turn % 5 == 3)
		n->t.until = DECANT_UNTIL_SENT;
}

static void nth_wait(struct nth *n)
{
	uint64_t until = kit_now_ns() + (uint64_t)NTH_HANG_MS * 1000000u;
	struct decant_event events[8];

	while (!n->tr.seen[DECANT_ENDED] && kit_now_ns() < until) {
		/* the wait itself may be what fails; then it is called again */
		int got = decant_wait(n->d, events, 8, 10);

		for (int i = 0; i < got; i++)
			if (events[i].user_data == n->t.user_data)
				track_event(&n->tr, &events[i]);
		sink_drain(&n->to, NTH_LEN, 0);
	}
}

static void nth_run(struct nth *n, const char *what)
{
	const char *wrong;

	n->id = track_submit(n->d, &n->t, &n->tr);
	if (n->id < 0) {
		ok(decant_strerror(n->d)[0], "%s: refused, and says why", what);
		return;
	}
	nth_wait(n);
	if (n->tr.seen[DECANT_ENDED])
		sink_finish(&n->to, n->tr.last[DECANT_ENDED].bytes);
	wrong = nth_judge(n->tr.seen[DECANT_ENDED], n->tr.last[DECANT_ENDED].error,
			  n->tr.last[DECANT_ENDED].bytes, nth_right(n), NTH_LEN);
	ok(wrong[0] == 0, "%s (%s): %s; %s", what, sys_fault_fired_name(), wrong,
	   n->tr.last[DECANT_ENDED].message);
	ok(n->tr.wrong[0] == '\0', "%s: events: %s", what, n->tr.wrong);
	if (!n->tr.seen[DECANT_ENDED])
		bail("%s: no way to go on", what);
}

static void nth_close(struct nth *n)
{
	source_close(&n->from);
	sink_close(&n->to);
}

static void nth_arm(enum nth_mode mode, unsigned long nth)
{
	static const int errors[] = { 0, 0, EINTR, EAGAIN, ENOMEM };
	struct sys_fault_plan plan = { .nth = nth, .error = errors[mode] };

	if (mode == NTH_SHORT)
		plan.mode = SYS_FAULT_SHORT;
	sys_fault_arm(&plan);
}

/* ---------------------------------------------------------------- scenarios */

struct nth_case {
	const struct fits *f;
	enum nth_mode mode;
};

/* One engine; after each failure the same transfer without one must work. */
static void nth_transfers(const void *arg)
{
	const struct nth_case *c = arg;
	struct leak before;
	struct decant *d;
	struct nth n;
	unsigned long i, fired = 1;

	leak_take(&before);
	d = track_engine(c->f->backend, NULL);
	nth_open(&n, c->f, d, 0);
	nth_run(&n, "without a fault");
	is_int(n.tr.last[DECANT_ENDED].error, 0, "without a fault: %s",
	       n.tr.last[DECANT_ENDED].message);
	nth_close(&n);
	for (i = 1; fired && i < NTH_MAX && !tap_shared->case_failed; i++) {
		char what[120];

		nth_open(&n, c->f, d, (unsigned)i);
		nth_arm(c->mode, i);
		snprintf(what, sizeof(what), "call %lu", i);
		nth_run(&n, what);
		sys_fault_disarm();
		fired = sys_fault_fired();
		if (tap_shared->case_failed)
			diag("what failed was %s", sys_fault_fired_name());
		nth_close(&n);
		if (!fired)
			is_int(n.tr.last[DECANT_ENDED].error, 0, "no failure, no error: %s",
			       n.tr.last[DECANT_ENDED].message);
	}
	ok(i < NTH_MAX, "it comes to an end");
	nth_open(&n, c->f, d, 0);
	nth_run(&n, "afterwards");
	is_int(n.tr.last[DECANT_ENDED].error, 0, "afterwards it works: %s",
	       n.tr.last[DECANT_ENDED].message);
	nth_close(&n);
	is_str(witness_again(d), "", "and so do others");
	decant_close(d);
	ok(!leak_since(&before, 1000), "closed: %s", leak_since(&before, 0));
}

/* From decant_open() to decant_close(), probes of the kernel and all. */
static void nth_life(const struct nth_case *c, unsigned long nth)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct leak before;
	struct decant *d = NULL;
	char what[120];
	struct nth n;
	int r;

	options.backend = c->f->backend;
	snprintf(what, sizeof(what), "call %lu", nth);
	nth_open(&n, c->f, NULL, (unsigned)nth);
	leak_take(&before);
	nth_arm(c->mode, nth);
	r = decant_open(&d, &options);
	ok((r == 0) == (d != NULL), "%s: open: %d", what, r);
	if (r == 0) {
		n.d = d;
		if (decant_plan(d, &n.t, &plan) < 0)
			ok(decant_strerror(d)[0], "%s: no plan, and it says why", what);
		nth_run(&n, what);
	}
	decant_close(d);
	sys_fault_disarm();
	ok(!leak_since(&before, 1000), "%s: %s", what, leak_since(&before, 0));
	nth_close(&n);
	if (tap_shared->case_failed)
		diag("what failed was %s", sys_fault_fired_name());
}

static void nth_lives(const void *arg)
{
	const struct nth_case *c = arg;
	unsigned long i = 1;

	do
		nth_life(c, i++);
	while (sys_fault_fired() && i < NTH_MAX && !tap_shared->case_failed);
	ok(i < NTH_MAX, "it comes to an end");
}

static void nth_all(struct fits *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (int mode = 0; (f[i].stable || f[i].live) && mode < NTH_MODES; mode++) {
			struct nth_case c = { &f[i], (enum nth_mode)mode };

			kit_case(nth_transfers, &c, "%s: %s, %s: %s to %s", nth_modes[mode],
				 f[i].route, track_backends[f[i].backend], source_names[f[i].from],
				 sink_names[f[i].to]);
		}
}

int main(void)
{
	unsigned n = 0;
	struct fits *f = fits_alloc((unsigned)NTH_PAIRS * fits_routes() * 2);

	tap_case_seconds = 60;
	need_root();
	kit_start(900);
	fs_start();
	for (enum fs_kind k = 0; k < FS_KINDS; k++)
		(void)fs_dir(k);
	pair_veth_ready();
	nth_control();
	for (unsigned p = 0; p < NTH_PAIRS; p++)
		for (unsigned r = 0; r < fits_routes() * 2; r++, n++) {
			f[n] = nth_pairs[p];
			f[n].route = decant_routes()[r / 2];
			f[n].backend = r % 2 ? DECANT_BACKEND_URING : DECANT_BACKEND_THREADS;
			f[n].len = NTH_LEN;
		}
	fits_ask(f, n);
	nth_all(f, n);
	for (unsigned i = 0; i < n; i++)
		if (strcmp(f[i].route, i % 2 ? "map-zc" : "read-send") == 0 && f[i].stable &&
		    f[i].to == SINK_LOOPBACK)
			for (int mode = 0; mode < NTH_MODES; mode++) {
				struct nth_case c = { &f[i], (enum nth_mode)mode };

				kit_case(nth_lives, &c, "%s from open to close: %s, %s",
					 nth_modes[mode], f[i].route,
					 track_backends[f[i].backend]);
			}
	return done();
}
