/* SPDX-License-Identifier: MIT */
/*
 * read-zc: read into the engine's (registered) buffers, sent from there by
 * IORING_OP_SEND_ZC.  One copy; the source may change when the last read
 * returned, the buffers are free at their notifications.
 */
#include <errno.h>

#include "route/routes.h"
#include "route/window.h"
#include "sys/sys.h"

/*
 * What is read at a time, into one buffer after the other until it is full: it
 * is sent while the cache still has it, and a peer that stalls keeps no more.
 */
#define READ_ZC_BYTES (256u << 10)

struct read_zc {
	struct zerocopy z;
	struct zerocopy_piece *piece; /* being filled and sent, or NULL */
};

static const enum fact read_zc_needs[] = { FACT_IO_URING, FACT_SEND_ZC, FACT_NONE };

static int read_zc_start(struct job *j)
{
	struct read_zc *s = sys_calloc(1, sizeof(*s));

	if (!s)
		return job_fail(j, -ENOMEM, "read-zc: no memory");
	zerocopy_init(&s->z, j, ZEROCOPY_RING, false, 1);
	j->priv = s;
	return 0;
}

static void read_zc_finish(struct job *j)
{
	struct read_zc *s = j->priv;

	zerocopy_deinit(&s->z);
	free(s);
	j->priv = NULL;
}

static void read_zc_drain(struct job *j)
{
	(void)zerocopy_reap(&((struct read_zc *)j->priv)->z);
}

static void read_zc_close(struct read_zc *s)
{
	if (s->piece)
		zerocopy_piece_over(&s->z, s->piece);
	s->piece = NULL;
}

static int read_zc_end(struct job *j)
{
	struct read_zc *s = j->priv;

	read_zc_close(s);
	job_snapshotted(j, 0); /* the rest of the way is in our buffers */
	return zerocopy_idle(&s->z) ? STEP_DONE : zerocopy_wait(&s->z);
}

static int read_zc_plain(struct job *j)
{
	int r = job_plain_step(j, READ_ZC_BYTES);

	return r == STEP_DONE ? read_zc_end(j) : r;
}

/* A buffer with room in it.  0, or STEP_*, or the job's error. */
static int read_zc_room(struct job *j)
{
	struct read_zc *s = j->priv;
	struct zerocopy_piece *p = s->piece;

	if (p && p->len_bytes < p->buffer->size_bytes)
		return 0;
	read_zc_close(s);
	p = zerocopy_piece(&s->z);
	if (!p)
		return zerocopy_wait(&s->z);
	p->buffer = job_buffer_get(j);
	if (!p->buffer) {
		zerocopy_piece_over(&s->z, p);
		return read_zc_plain(j);
	}
	p->data = p->buffer->data;
	s->piece = p;
	return 0;
}

/* The next bytes of the source, behind those that the buffer has. */
static int read_zc_fill(struct job *j, uint64_t want)
{
	struct read_zc *s = j->priv;
	int r = read_zc_room(j);
	struct zerocopy_piece *p = s->piece;
	unsigned char *at;
	int64_t n;

	if (r != 0)
		return r;
	at = p->buffer->data + p->len_bytes;
	if (want > p->buffer->size_bytes - p->len_bytes)
		want = p->buffer->size_bytes - p->len_bytes;
	n = end_read(&j->from, j->taken, at, want);
	/* Bytes that were cut off while they were read may be zeros. */
	if (n > 0 && j->from.kind == DECANT_END_FILE)
		n = (int64_t)window_left(j, j->taken, (uint64_t)n);
	if (n > 0) {
		p->len_bytes += (uint64_t)n;
		job_took(j, (uint64_t)n);
		job_hash(j, at, (uint64_t)n);
		if (job_all_taken(j))
			job_snapshotted(j, 0);
		return zerocopy_push(&s->z, p, UINT64_MAX);
	}
	if (n == -EAGAIN) {
		read_zc_close(s); /* a source that stalls keeps no buffer */
		job_wait_source(j);
		return STEP_WAIT;
	}
	if (n < 0)
		return job_fail_source(j, (int)n);
	r = job_source_ended(j);
	return r == STEP_DONE ? read_zc_end(j) : r;
}

static int read_zc_step(struct job *j)
{
	struct read_zc *s = j->priv;
	uint64_t want;
	int r = zerocopy_reap(&s->z);

	if (r < 0)
		return r;
	if (s->z.fault) /* our own buffer: a page that could not be read in (hwpoison) */
		return job_fail(j, -EFAULT, "read-zc: the kernel cannot read our buffer");
	if (zerocopy_sending(&s->z))
		return STEP_WAIT;
	if (s->piece && s->piece->done_bytes < s->piece->len_bytes)
		return zerocopy_push(&s->z, s->piece, UINT64_MAX);
	/* What a plain step could not write is kept by the engine and goes first. */
	if (s->z.plain || j->taken != j->sent) {
		read_zc_close(s);
		return read_zc_plain(j);
	}
	want = job_want(j, READ_ZC_BYTES);
	if (want == 0)
		return job_all_taken(j) ? read_zc_end(j) : STEP_WAIT;
	return read_zc_fill(j, want);
}

static bool read_zc_fits(const struct query *q, struct fit *fit)
{
	return zerocopy_fits(q, fit, ZEROCOPY_RING);
}

const struct route route_read_zc = {
	.ops = { "read-zc", read_zc_start, read_zc_step, read_zc_finish, read_zc_drain },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE) | ROUTE_KIND(DECANT_END_PIPE) |
		      ROUTE_KIND(DECANT_END_SOCKET) | ROUTE_KIND(DECANT_END_PROCESS),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.needs = read_zc_needs,
	.copies = 1,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last read returns; the buffers are free at the last notification",
	.user_space = true,
	.fits = read_zc_fits,
};
