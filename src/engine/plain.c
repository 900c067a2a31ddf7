/* SPDX-License-Identifier: MIT */
/*
 * The plain piece: read into this thread's scratch, write to the sink.
 *
 * A peer that does not read holds no memory: what could not be written is read
 * again later where the source allows that, and is kept (at most one piece)
 * where it does not.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "engine/engine.h"
#include "sys/sys.h"

/* Sources that cannot be read again are taken in smaller pieces. */
#define PLAIN_STREAM_MAX_BYTES (256u << 10)
#define PLAIN_SMALL_BYTES (16u << 10)

/* What is read into the scratch is copied, and once more when it leaves. */
static unsigned plain_copies(const struct job *j)
{
	return j->to.kind == DECANT_END_NULL ? 1 : 2;
}

/* tmpfs has no RWF_NOWAIT, and no disk to wait for.  ask: it is not known yet. */
static bool plain_in_memory(struct job *j, bool ask)
{
	struct recent *recent = &j->engine->recent;
	uint64_t now_ms = sys_clock_coarse_ms();

	if (!ask)
		return recent_has(recent, j->from.fd, RECENT_IN_MEMORY, now_ms);
	if (!end_in_memory(&j->from))
		return false;
	recent_note(recent, j->from.fd, RECENT_IN_MEMORY, now_ms);
	return true;
}

/*
 * A few pages into the scratch.  Without a zero among them nothing was cleared
 * by a truncation, and the question for the size is saved.
 */
static int64_t plain_read_small(struct job *j, void *buf, uint64_t len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	uint64_t at = j->from.offset + j->taken;
	bool nowait = j->q->nowait && !plain_in_memory(j, false);
	int64_t n;

	n = nowait ? sys_preadv2(j->from.io_fd, &iov, 1, at, RWF_NOWAIT) : -EOPNOTSUPP;
	if (n == -EOPNOTSUPP && (!nowait || plain_in_memory(j, true)))
		n = sys_pread(j->from.io_fd, buf, len, at);
	if (n == -EINVAL)
		return end_read(&j->from, j->taken, buf, len); /* opened with O_DIRECT */
	return n > 0 && memchr(buf, 0, (size_t)n) ? end_kept(&j->from, j->taken, n) : n;
}

static int64_t plain_read(struct job *j, void *buf, uint64_t len)
{
	if (j->from.kind == DECANT_END_FILE && (len <= PLAIN_SMALL_BYTES || j->q->nowait))
		return plain_read_small(j, buf, len);
	return end_read(&j->from, j->taken, buf, len);
}

/* Write what was read; *ret_done: how much the sink took. */
static int plain_write(struct job *j, const unsigned char *buf, uint64_t len, unsigned copies,
		       uint64_t *ret_done)
{
	uint64_t done = 0;
	int64_t n = 0;

	while (done < len) {
		n = end_write(&j->to, j->sent, buf + done, len - done, job_more(j, len - done));
		if (n < 0)
			break;
		if (n == 0) {
			n = -EIO; /* a sink that takes nothing would be a busy loop */
			break;
		}
		job_hash(j, buf + done, (uint64_t)n);
		done += (uint64_t)n;
		job_sent(j, (uint64_t)n, copies);
	}
	*ret_done = done;
	if (n == -EAGAIN) {
		job_wait_sink(j);
		return STEP_WAIT;
	}
	return n < 0 ? job_fail_sink(j, (int)n) : STEP_MORE;
}

static int plain_leftover(struct job *j)
{
	struct job_queue *q = j->q;
	uint64_t done;
	int r = plain_write(j, q->leftover + q->leftover_off, q->leftover_len - q->leftover_off,
			    plain_copies(j), &done);

	q->leftover_off += done;
	if (q->leftover_off == q->leftover_len) {
		free(q->leftover);
		q->leftover = NULL;
		q->leftover_len = q->leftover_off = 0;
	}
	return r;
}

static int plain_keep(struct job *j, const unsigned char *buf, uint64_t len)
{
	struct job_queue *q = j->q;

	q->leftover = sys_malloc(len);
	if (!q->leftover)
		return job_fail(j, -ENOMEM,
				"keeping %llu bytes that the %s did not take: no memory",
				(unsigned long long)len, end_noun(&j->to));
	memcpy(q->leftover, buf, len);
	q->leftover_len = len;
	q->leftover_off = 0;
	return 0;
}

static int plain_failed_read(struct job *j, int64_t n)
{
	struct job_queue *q = j->q;

	if (n == 0)
		return job_source_ended(j);
	if (q->nowait && j->from.kind == DECANT_END_FILE &&
	    (n == -EAGAIN || n == -EOPNOTSUPP || n == -ENOSYS)) {
		q->nowait = false;
		return STEP_MORE; /* a worker may wait for the disk */
	}
	if (n == -EAGAIN) {
		job_wait_source(j);
		return STEP_WAIT;
	}
	return job_fail_source(j, (int)n);
}

/*
 * Memory needs no reading into the scratch, and memory as a sink no writing
 * from there; unless we must look at the bytes ourselves: either may be a
 * mapping of a file that shrinks, and only the kernel may fault on that.
 */
static int plain_from_view(struct job *j, const void *view, uint64_t want)
{
	uint64_t done;
	int r = plain_write(j, view, want, j->to.kind == DECANT_END_NULL ? 0 : 1, &done);

	job_took(j, done);
	if (r == -EFAULT)
		return job_fail_source(j, r);
	if (r == STEP_MORE && job_all_taken(j))
		return STEP_DONE;
	return r;
}

static int plain_to_room(struct job *j, void *room, uint64_t want)
{
	/* The caller's memory is not for us to look at. */
	int64_t n = end_read(&j->from, j->taken, room, want);

	if (n <= 0)
		return plain_failed_read(j, n);
	job_took(j, (uint64_t)n);
	job_sent(j, (uint64_t)n, 1);
	return job_all_taken(j) ? STEP_DONE : STEP_MORE;
}

int job_plain_step(struct job *j, uint64_t chunk_bytes)
{
	uint64_t size, want, done;
	const void *view;
	unsigned char *buf;
	void *room;
	int64_t n;
	int r;

	if (j->q->leftover) {
		r = plain_leftover(j);
		if (r != STEP_MORE)
			return r;
	}
	if (job_all_taken(j))
		return STEP_DONE;
	if (!j->from.seekable && chunk_bytes > PLAIN_STREAM_MAX_BYTES)
		chunk_bytes = PLAIN_STREAM_MAX_BYTES;
	want = job_want(j, chunk_bytes);
	if (want == 0)
		return STEP_WAIT;
	if (j->to.kind == DECANT_END_MEMORY && want > j->to.size - j->sent)
		want = j->to.size - j->sent;
	if (want == 0)
		return job_fail(j, -ENOSPC, "the memory is full after %llu bytes",
				(unsigned long long)j->sent);
	view = j->hash ? NULL : end_view(&j->from, j->taken, &(uint64_t){ want });
	room = j->hash ? NULL : end_room(&j->to, j->sent, &(uint64_t){ want });
	if (room)
		return plain_to_room(j, room, want);
	if (view) {
		(void)end_view(&j->from, j->taken, &want);
		return plain_from_view(j, view, want);
	}
	buf = job_scratch(j, &size);
	if (!buf)
		return job_fail(j, -ENOMEM, "buffer: no memory");
	n = plain_read(j, buf, want < size ? want : size);
	if (n <= 0)
		return plain_failed_read(j, n);
	if (!j->from.seekable)
		job_took(j, (uint64_t)n);
	r = plain_write(j, buf, (uint64_t)n, plain_copies(j), &done);
	if (j->from.seekable)
		job_took(j, done);
	else if (r == STEP_WAIT && plain_keep(j, buf + done, (uint64_t)n - done) < 0)
		return -ENOMEM;
	if (r == STEP_MORE && job_all_taken(j))
		return STEP_DONE;
	return r;
}
