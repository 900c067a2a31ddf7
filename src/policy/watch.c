/* SPDX-License-Identifier: MIT */
#include "policy/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/checked.h"
#include "policy/ends.h"
#include "policy/report.h"
#include "policy/trace.h"
#include "sys/proc.h"
#include "sys/sys.h"

#define WATCH_MAX 64
#define WATCH_BYTES 65536       /* of one call that are summed, at most */
#define WATCH_TICK_NS 1000000u
#define WATCH_UNSEEN 10         /* ticks: then there is a writer whom we do not see */
#define WATCH_TICKS_MAX 5000    /* then a pipe that nobody reads is given up */

/* One vmsplice whose bytes are in the pipe. */
struct watch_entry {
	bool used, is_32bit;
	bool expected;          /* not in the pipe yet, as far as was seen; queue is without it */
	pid_t tgid, tid;
	int pidfd, fd;
	uint64_t ino, bytes;
	struct report_site *site;
	unsigned pieces, ticks;
	unsigned unseen;        /* how often in a row there was more than we know of */
	struct {
		uint64_t addr, len;
	} piece[WATCH_PIECES];
	uint64_t sum;
	/*
	 * The queue at the call, which ends with our bytes, and what was put
	 * behind them since then as far as it was seen.  A queue that is longer
	 * than both has a writer that we do not see: then nobody can say where
	 * our bytes are, and we give up.
	 */
	uint64_t queue, appended;
};

struct watch {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	struct report *report;
	bool stop, fifo_said;
	unsigned used, next;
	struct watch_entry entry[WATCH_MAX];
	char bytes[WATCH_BYTES];
};

static void watch_drop(struct watch *w, struct watch_entry *e)
{
	if (!e->used)
		return;
	(void)sys_close(e->pidfd);
	e->used = false;
	w->used--;
}

/* The memory as it is now; false: it cannot be read any more. */
static bool watch_sum(struct watch *w, const struct watch_entry *e, uint64_t *ret)
{
	size_t len = 0;

	for (unsigned i = 0; i < e->pieces; i++) {
		struct iovec local = { w->bytes + len, e->piece[i].len };
		struct iovec remote = { (void *)(uintptr_t)e->piece[i].addr, e->piece[i].len };

		if (sys_process_vm_readv(e->tid, &local, 1, &remote, 1) !=
		    (ssize_t)e->piece[i].len)
			return false;
		len += e->piece[i].len;
	}
	*ret = XXH3_64bits(w->bytes, len);
	/* Read by its number, which was still its own. */
	return sys_pidfd_send_signal(e->pidfd, 0, NULL, 0) == 0;
}

/* Bytes in the pipe; -1: it is not there any more. */
static int64_t watch_queue(const struct watch_entry *e)
{
	_cleanup_close_ int fd = -1;
	struct policy_end end;
	uint64_t ino;
	int n;

	end_look(e->pidfd, e->fd, &end, &ino, &fd);
	if (fd < 0 || ino != e->ino || sys_fionread(fd, &n) < 0)
		return -1;
	return n;
}

/* Throw away so many bytes of a pipe. */
static bool watch_skip(struct watch *w, int fd, uint64_t bytes)
{
	while (bytes) {
		ssize_t n = sys_read(fd, w->bytes, min_u64(bytes, sizeof(w->bytes)));

		if (n <= 0)
			return false;
		bytes -= (uint64_t)n;
	}
	return true;
}

/*
 * The sum of what a reader would get: the pipe is opened for reading, and tee()
 * takes nothing out.  ahead: bytes in front of ours.
 */
static bool watch_peek(struct watch *w, int fd, uint64_t ahead, uint64_t len, uint64_t *ret)
{
	_cleanup_close_ int from = -1, in = -1, out = -1;
	int pair[2], size = sys_getpipe_sz(fd);
	char path[48];
	uint64_t got = 0;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	from = sys_open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	if (from < 0 || size < 0 || sys_pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	out = pair[0];
	in = pair[1];
	(void)sys_setpipe_sz(in, size);
	if (sys_tee(from, in, ahead + len, SPLICE_F_NONBLOCK) < (int64_t)(ahead + len) ||
	    !watch_skip(w, out, ahead))
		return false;
	while (got < len) {
		ssize_t n = sys_read(out, w->bytes + got, len - got);

		if (n <= 0)
			return false;
		got += (uint64_t)n;
	}
	*ret = XXH3_64bits(w->bytes, len);
	return true;
}

/*
 * Memory that is different now may be other memory (unmapped, given back): only
 * where the pipe itself has changed did the program change what it had sent.
 */
static bool watch_changed(struct watch *w, const struct watch_entry *e, uint64_t read)
{
	_cleanup_close_ int fd = -1;
	uint64_t sum, ahead = e->queue - e->bytes, len = 0;
	struct policy_end end;
	uint64_t ino;

	for (unsigned i = 0; i < e->pieces; i++)
		len += e->piece[i].len;
	end_look(e->pidfd, e->fd, &end, &ino, &fd);
	/* Who opens a FIFO is seen by others that wait for that. */
	return fd >= 0 && ino == e->ino && end.kind == KIND_PIPE && read <= ahead &&
	       watch_peek(w, fd, ahead - read, len, &sum) && sum != e->sum;
}

static void watch_check(struct watch *w, struct watch_entry *e)
{
	uint64_t sum, all = e->queue + e->appended;
	int64_t queue = watch_queue(e);

	/* A call that put it there may have ended, and be heard of in a moment. */
	if (queue >= 0 && (uint64_t)queue > all && e->unseen++ < WATCH_UNSEEN)
		return;
	e->unseen = 0;
	/* It was read, or nobody can tell. */
	if (queue < 0 || (uint64_t)queue > all || all - (uint64_t)queue > e->queue - e->bytes ||
	    !watch_sum(w, e, &sum)) {
		watch_drop(w, e);
		return;
	}
	if (sum == e->sum)
		return;
	if (watch_changed(w, e, all - (uint64_t)queue))
		report_finding(w->report, e->site, FINDING_MODIFIED, e->fd);
	watch_drop(w, e);
}

static void watch_pieces(struct watch_entry *e, const struct watch_call *c)
{
	uint64_t left = min_u64(c->bytes, WATCH_BYTES);

	for (uint64_t i = 0; i < c->iov_n && e->pieces < WATCH_PIECES && left; i++) {
		uint64_t addr, len;

		if (copy_piece(c->tid, c->is_32bit, c->iov, i, &addr, &len) < 0)
			return;
		len = min_u64(len, left);
		if (!len)
			continue;
		e->piece[e->pieces].addr = addr;
		e->piece[e->pieces++].len = len;
		left -= len;
	}
}

/* The call of an expected entry is over if just its bytes came to the queue. */
static void watch_arrived(struct watch *w, struct watch_entry *e)
{
	int64_t queue = watch_queue(e);

	if (queue < 0 || (uint64_t)queue > e->queue + e->bytes) {
		watch_drop(w, e);
		return;
	}
	if ((uint64_t)queue < e->queue + e->bytes)
		return;
	e->expected = false;
	e->queue += e->bytes;
	for (size_t i = 0; i < WATCH_MAX; i++)
		if (w->entry[i].used && !w->entry[i].expected && &w->entry[i] != e &&
		    w->entry[i].ino == e->ino)
			w->entry[i].appended += e->bytes;
}

static void watch_arrivals(struct watch *w)
{
	for (size_t i = 0; i < WATCH_MAX && w->used; i++)
		if (w->entry[i].used && w->entry[i].expected)
			watch_arrived(w, &w->entry[i]);
}

static void watch_enter(struct watch *w, const struct watch_call *c, bool expected)
{
	struct watch_entry e = {
		.used = true, .is_32bit = c->is_32bit, .tgid = c->tgid, .tid = c->tid,
		.fd = c->fd, .ino = c->ino, .bytes = c->bytes, .site = c->site,
		.expected = expected,
	};
	int64_t queue;

	if (c->is_fifo) {
		if (!w->fifo_said)
			report_hole(w->report, "whether buffers are changed after vmsplice to a "
				    "FIFO: they are looked at in pipes only");
		w->fifo_said = true;
		return;
	}
	watch_pieces(&e, c);
	if (!e.pieces || c->pidfd < 0)
		return;
	e.pidfd = sys_dupfd_cloexec(c->pidfd, 0);
	if (e.pidfd < 0)
		return;
	(void)pthread_mutex_lock(&w->lock);
	queue = watch_queue(&e);
	if (queue < (expected ? 0 : (int64_t)c->bytes) || !watch_sum(w, &e, &e.sum)) {
		(void)sys_close(e.pidfd); /* somebody reads already */
	} else {
		struct watch_entry *slot = &w->entry[w->next++ % WATCH_MAX];

		e.queue = (uint64_t)queue;
		watch_drop(w, slot);
		*slot = e;
		if (w->used++ == 0)
			(void)pthread_cond_signal(&w->cond);
	}
	(void)pthread_mutex_unlock(&w->lock);
}

void watch_add(struct watch *w, const struct watch_call *c)
{
	watch_enter(w, c, false);
}

void watch_expect(struct watch *w, const struct watch_call *c)
{
	watch_enter(w, c, true);
}

void watch_appended(struct watch *w, uint64_t ino, uint64_t bytes)
{
	(void)pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < WATCH_MAX; i++)
		if (w->entry[i].used && w->entry[i].ino == ino)
			w->entry[i].appended += bytes;
	(void)pthread_mutex_unlock(&w->lock);
}

void watch_look(struct watch *w, pid_t tgid)
{
	(void)pthread_mutex_lock(&w->lock);
	watch_arrivals(w);
	for (size_t i = 0; i < WATCH_MAX && w->used; i++)
		if (w->entry[i].used && w->entry[i].tgid == tgid && !w->entry[i].expected)
			watch_check(w, &w->entry[i]);
	(void)pthread_mutex_unlock(&w->lock);
}

void watch_forget(struct watch *w, pid_t tgid)
{
	(void)pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < WATCH_MAX && w->used; i++)
		if (w->entry[i].tgid == tgid)
			watch_drop(w, &w->entry[i]);
	(void)pthread_mutex_unlock(&w->lock);
}

static void *watch_main(void *arg)
{
	struct watch *w = arg;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		if (!w->used) {
			(void)pthread_cond_wait(&w->cond, &w->lock);
			continue;
		}
		watch_arrivals(w);
		for (size_t i = 0; i < WATCH_MAX; i++) {
			if (w->entry[i].used && w->entry[i].ticks++ >= WATCH_TICKS_MAX)
				watch_drop(w, &w->entry[i]);
			if (w->entry[i].used && !w->entry[i].expected)
				watch_check(w, &w->entry[i]);
		}
		(void)pthread_mutex_unlock(&w->lock);
		(void)sys_sleep_ns(WATCH_TICK_NS);
		(void)pthread_mutex_lock(&w->lock);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

int watch_create(struct watch **ret, struct report *r, struct err *reterr)
{
	struct watch *w = sys_calloc(1, sizeof(*w));
	int e;

	if (!w)
		return err_set(reterr, -ENOMEM, "out of memory");
	w->report = r;
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->cond, NULL);
	e = sys_thread_create(&w->thread, "decant-watch", watch_main, w);
	if (e < 0) {
		free(w);
		return err_errno(reterr, e, "thread that watches buffers");
	}
	*ret = w;
	return 0;
}

void watch_destroy(struct watch *w)
{
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->stop = true;
	(void)pthread_cond_signal(&w->cond);
	(void)pthread_mutex_unlock(&w->lock);
	(void)sys_thread_join(w->thread);
	for (size_t i = 0; i < WATCH_MAX; i++)
		watch_drop(w, &w->entry[i]);
	(void)pthread_cond_destroy(&w->cond);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}
