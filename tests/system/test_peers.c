/* SPDX-License-Identifier: MIT */
/*
 * Peers that misbehave, disks that are full, limits that are reached: a clear
 * error, nothing leaked, and the engine goes on with its other transfers.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/witness.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define PEER_LEN (2 * MIB)
#define PEER_PIPE_LEN (480 * KIB) /* what a source that is a pipe holds */
#define PEER_ROUNDS 4
#define PEER_MS 10000

struct peer_route {
	const char *route; /* NULL: the planner's */
	enum source_kind from;
	enum pair_kind to;
};

/* What each route does when its peer goes away. */
static const struct peer_route peer_routes[] = {
	{ NULL, SOURCE_FILE, PAIR_LOOPBACK },
	{ "map-zc", SOURCE_FILE, PAIR_LOOPBACK },
	{ "map-msgzc", SOURCE_FILE, PAIR_LOOPBACK },
	{ "map-send", SOURCE_FILE, PAIR_LOOPBACK },
	{ "map-send", SOURCE_FILE, PAIR_UNIX },
	{ "read-zc", SOURCE_FILE, PAIR_LOOPBACK },
	{ "direct-zc", SOURCE_FILE, PAIR_LOOPBACK },
	{ "direct-splice", SOURCE_FILE, PAIR_LOOPBACK },
	{ "direct-splice", SOURCE_FILE, PAIR_PIPE },
	{ "read-send", SOURCE_FILE, PAIR_LOOPBACK },
	{ "read-send", SOURCE_FILE, PAIR_UNIX },
	{ "sendfile", SOURCE_FILE, PAIR_LOOPBACK },
	{ "splice", SOURCE_FILE, PAIR_LOOPBACK },
	{ "splice", SOURCE_FILE, PAIR_PIPE },
	{ "map-write", SOURCE_FILE, PAIR_PIPE },
	{ "map-write", SOURCE_FILE, PAIR_FIFO },
	{ "read-write", SOURCE_FILE, PAIR_FIFO },
	{ "read-write", SOURCE_PROCESS, PAIR_LOOPBACK },
	{ "zc", SOURCE_MEMORY, PAIR_LOOPBACK },
	{ "msgzc", SOURCE_MEMORY, PAIR_LOOPBACK },
	{ "send", SOURCE_MEMORY, PAIR_LOOPBACK },
	{ "send", SOURCE_MEMORY, PAIR_UNIX },
	{ "vmsplice", SOURCE_MEMORY, PAIR_PIPE },
	{ "write", SOURCE_MEMORY, PAIR_PIPE },
	{ "splice", SOURCE_TCP, PAIR_LOOPBACK },
	{ "splice", SOURCE_PIPE, PAIR_UNIX },
};

struct peer {
	const struct peer_route *how;
	struct decant *d;
	struct source from;
	struct pair pair;
	struct track tr;
	uint64_t len;
};

static uint64_t peer_len(const struct peer_route *how)
{
	return how->from == SOURCE_PIPE ? PEER_PIPE_LEN : PEER_LEN;
}

/* A transfer that is stuck half-way: its reader has taken a bit and sleeps. */
static bool peer_half_way(struct peer *p, const struct peer_route *how, struct decant *d,
			  uint32_t stall_ms)
{
	struct pair_options o = { .small = true };
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	static char sip[16 * 1024];

	p->how = how;
	p->d = d;
	p->len = peer_len(how);
	source_open(&p->from, how->from, FS_EXT4, 0, p->len);
	pair_open(&p->pair, how->to, &o);
	t.from = p->from.end;
	t.to = decant_fd(p->pair.out);
	t.len = p->len;
	t.route = how->route;
	t.guarantee = DECANT_LIVE;
	t.stall_ms = stall_ms;
	if (decant_plan(d, &t, &plan) < 0) {
		if (!kit_refusal_is_right(decant_strerror(d)))
			skip("does not fit here: %s", decant_strerror(d));
		ok(true, "refused: %s", decant_strerror(d));
		source_close(&p->from);
		pair_close(&p->pair);
		return false;
	}
	if (!ok(track_submit(d, &t, &p->tr) > 0, "submit: %s", decant_strerror(d)))
		return false;
	pair_read(&p->pair, sip, sizeof(sip), 2000);
	track_until(d, &p->tr, DECANT_ENDED, 5);
	return ok(!p->tr.seen[DECANT_ENDED], "still under way: %s", track_verdict(&p->tr, 0));
}

static void peer_end(struct peer *p)
{
	source_close(&p->from);
	pair_close(&p->pair);
}

static void peer_failed(struct peer *p, const char *what)
{
	const struct decant_event *e;

	track_until(p->d, &p->tr, DECANT_ENDED, PEER_MS);
	e = &p->tr.last[DECANT_ENDED];
	if (!ok(p->tr.seen[DECANT_ENDED], "%s: it ends", what))
		bail("%s: the transfer hangs", what);
	ok(!p->tr.wrong[0], "%s: events: %s", what, p->tr.wrong);
	ok(e->error < 0, "%s: not a success", what);
	ok(e->bytes < p->len, "%s: not all bytes", what);
	ok(e->message[0], "%s: there is a sentence", what);
}

/* Around each fault: a witness, leaks after several rounds, a new transfer. */
static void peer_rounds(void (*fault)(const void *arg, struct decant *d), const void *arg)
{
	for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++) {
		struct leak start, warm;
		struct witness w;
		struct decant *d;

		leak_take(&start);
		d = track_engine((enum decant_backend)b, NULL);
		witness_start(&w, d);
		for (int i = 0; i < PEER_ROUNDS; i++) {
			if (i == PEER_ROUNDS / 2)
				leak_take(&warm);
			fault(arg, d);
		}
		/* workers, buffers and kept mappings: bounded, and given back at the end */
		warm.file_maps += 16;
		warm.threads += 64;
		warm.pinned_kb += 16 * KIB;
		ok(!leak_since(&warm, 1000), "%s: round for round: %s", track_backends[b],
		   leak_since(&warm, 0));
		is_str(witness_end(&w, d), "", "%s: the other transfer does not notice",
		       track_backends[b]);
		is_str(witness_again(d), "", "%s: the engine goes on", track_backends[b]);
		decant_close(d);
		ok(!leak_since(&start, 1000), "%s: closed: %s", track_backends[b],
		   leak_since(&start, 0));
	}
}

static void reset_fault(const void *arg, struct decant *d)
{
	struct peer p;

	if (!peer_half_way(&p, arg, d, 0))
		return;
	pair_reset_in(&p.pair); /* for pipes: the last reader closes */
	peer_failed(&p, "reset");
	ok(p.tr.last[DECANT_ENDED].error == -ECONNRESET || p.tr.last[DECANT_ENDED].error == -EPIPE,
	   "reset: %d, %s", p.tr.last[DECANT_ENDED].error, p.tr.last[DECANT_ENDED].message);
	peer_end(&p);
}

static void reset_case(const void *arg)
{
	peer_rounds(reset_fault, arg);
}

static void stall_fault(const void *arg, struct decant *d)
{
	struct peer p;

	if (!peer_half_way(&p, arg, d, 100))
		return;
	peer_failed(&p, "stall");
	is_int(p.tr.last[DECANT_ENDED].error, -ETIMEDOUT, "stall: %s",
	       p.tr.last[DECANT_ENDED].message);
	peer_end(&p);
}

static void stall_case(const void *arg)
{
	peer_rounds(stall_fault, arg);
}

static void cancel_fault(const void *arg, struct decant *d)
{
	struct peer p;

	if (!peer_half_way(&p, arg, d, 0))
		return;
	is_int(decant_cancel(d, p.tr.id), 0, "cancel");
	peer_failed(&p, "cancel");
	is_int(p.tr.last[DECANT_ENDED].error, -ECANCELED, "cancel: %s",
	       p.tr.last[DECANT_ENDED].message);
	is_int(decant_cancel(d, p.tr.id), -ENOENT, "a second time there is nothing to cancel");
	peer_end(&p);
}

static void cancel_case(const void *arg)
{
	peer_rounds(cancel_fault, arg);
}

/* ------------------------------------------------------------- half a close */

/* The reader says that it will not write; that is no reason to stop. */
static void half_close(const void *arg, struct decant *d)
{
	struct peer p;
	struct reader r = { .gen = PATTERN_OLD };
	struct pair_options o = { .small = true };
	struct decant_transfer t = DECANT_TRANSFER_INIT;

	source_open(&p.from, SOURCE_FILE, FS_EXT4, 0, PEER_LEN);
	pair_open(&p.pair, *(const enum pair_kind *)arg, &o);
	shutdown(p.pair.in, SHUT_WR);
	t.from = p.from.end;
	t.to = decant_fd(p.pair.out);
	t.len = PEER_LEN;
	r.fd = p.pair.in;
	r.limit = PEER_LEN;
	reader_start(&r);
	ok(track_submit(d, &t, &p.tr) > 0, "submit: %s", decant_strerror(d));
	reader_go(&r);
	track_until(d, &p.tr, DECANT_ENDED, PEER_MS);
	is_str(track_verdict(&p.tr, 0), "", "half-closed peers still read");
	reader_join(&r);
	ok(r.bytes == PEER_LEN && pattern_clean(&r.report), "all came: %s",
	   pattern_text(&r.report));
	peer_end(&p);
}

/* A source that ends early: an error where more was promised, else the end. */
static void early_end(const void *arg, struct decant *d)
{
	enum source_kind kind = *(const enum source_kind *)arg;

	for (int exact = 0; exact < 2; exact++) {
		struct decant_transfer t = DECANT_TRANSFER_INIT;
		struct source from;
		struct track tr;
		struct sink to;

		source_open(&from, kind, FS_EXT4, 0, 100 * KIB + 7);
		sink_open(&to, SINK_FILE, FS_EXT4, 0, 100 * KIB + 7, NULL);
		t.from = from.end;
		t.to = to.end;
		t.len = exact ? 200 * KIB : DECANT_TO_END;
		ok(track_submit(d, &t, &tr) > 0, "submit: %s", decant_strerror(d));
		track_until(d, &tr, DECANT_ENDED, PEER_MS);
		is_str(track_verdict(&tr, exact ? -ENODATA : 0), "", "a source that ends");
		is_int(tr.last[DECANT_ENDED].bytes, 100 * KIB + 7, "what was there was moved");
		is_int(tr.last[DECANT_ENDED].offset, 100 * KIB + 7, "where it ended");
		sink_finish(&to, 100 * KIB + 7);
		ok(pattern_clean(&to.report), "and is right: %s", pattern_text(&to.report));
		source_close(&from);
		sink_close(&to);
	}
}

static void half_case(const void *arg)
{
	peer_rounds(half_close, arg);
}

static void early_case(const void *arg)
{
	peer_rounds(early_end, arg);
}

/* ----------------------------------------------------- a reader that is shot */

static void shot_fault(const void *arg, struct decant *d)
{
	struct peer p;
	pid_t pid;

	if (!peer_half_way(&p, arg, d, 0))
		return;
	pid = kit_must(fork());
	if (pid == 0) {
		pause();
		_exit(0);
	}
	close(p.pair.in); /* now it is the child's alone */
	p.pair.in = -1;
	track_until(d, &p.tr, DECANT_ENDED, 20);
	ok(!p.tr.seen[DECANT_ENDED], "a reader that sleeps is no error");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	peer_failed(&p, "killed reader");
	peer_end(&p);
}

static void shot_case(const void *arg)
{
	peer_rounds(shot_fault, arg);
}

/* ------------------------------------------------------------------ storms */

static volatile sig_atomic_t storm_count;

static void storm_handler(int sig)
{
	(void)sig;
	storm_count++;
}

/* Signals from here to the end of the move, to this thread. */
static void storm_set(unsigned us)
{
	struct itimerval it = { { 0, us }, { 0, us } };

	kit_must(setitimer(ITIMER_REAL, &it, NULL));
}

static void storm_move(struct decant *d, const struct peer_route *how)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct pair_options o = { .small = true };
	struct reader r = { .gen = PATTERN_OLD };
	uint64_t len = peer_len(how);
	struct decant_event e;
	struct source from;
	struct pair pair;
	int64_t moved;

	source_open(&from, how->from, FS_EXT4, 0, len);
	pair_open(&pair, how->to, &o);
	r.fd = pair.in;
	t.from = from.end;
	t.to = decant_fd(pair.out);
	t.len = len;
	t.route = how->route;
	t.guarantee = DECANT_LIVE;
	if (decant_plan(d, &t, &plan) == 0) {
		reader_start(&r);
		reader_go(&r);
		storm_set(1000);
		moved = decant_move(d, &t, &e);
		storm_set(0);
		is_int(moved, len, "%s: %s", plan.route, e.message);
		close(pair.out);
		pair.out = -1;
		reader_join(&r);
		ok(r.bytes == len && pattern_clean(&r.report), "all came: %s",
		   pattern_text(&r.report));
	}
	source_close(&from);
	pair_close(&pair);
}

static void storm_case(const void *arg)
{
	struct sigaction sa = { .sa_handler = storm_handler }; /* no SA_RESTART */

	for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++) {
		struct decant *d = track_engine((enum decant_backend)b, NULL);

		is_str(witness_again(d), "", "before the storm");
		kit_must(sigaction(SIGALRM, &sa, NULL));
		for (int i = 0; i < 8; i++)
			storm_move(d, arg);
		decant_close(d);
	}
	ok(storm_count > 0, "signals came");
}

int main(void)
{
	static const enum pair_kind sockets[] = { PAIR_LOOPBACK, PAIR_UNIX };
	static const enum source_kind ends[] = { SOURCE_FILE, SOURCE_PIPE, SOURCE_TCP,
						 SOURCE_UNIX };

	tap_case_seconds = 60;
	need_root();
	kit_start(600);
	fs_start();
	(void)fs_dir(FS_EXT4);
	(void)fs_dir(FS_TMPFS);
	pair_veth_ready();
	for (unsigned i = 0; i < sizeof(peer_routes) / sizeof(peer_routes[0]); i++) {
		const struct peer_route *r = &peer_routes[i];
		const char *name = r->route ? r->route : "planned";
		const char *from = source_names[r->from], *to = pair_names[r->to];

		kit_case(reset_case, r, "%s, %s to %s: the peer resets", name, from, to);
		kit_case(stall_case, r, "%s, %s to %s: the peer stalls", name, from, to);
		kit_case(cancel_case, r, "%s, %s to %s: cancelled", name, from, to);
		kit_case(storm_case, r, "%s, %s to %s: a storm of signals", name, from, to);
	}
	for (unsigned i = 0; i < 2; i++)
		kit_case(half_case, &sockets[i], "%s: the peer will not write",
			     pair_names[sockets[i]]);
	for (unsigned i = 0; i < 4; i++)
		kit_case(early_case, &ends[i], "%s: the source ends early", source_names[ends[i]]);
	kit_case(shot_case, &peer_routes[0], "a socket's reader is killed");
	kit_case(shot_case, &peer_routes[13], "a pipe's reader is killed");
	return done();
}
