/* SPDX-License-Identifier: MIT */
/*
 * direct-zc: asynchronous reads past the page cache into the engine's buffers,
 * sent from there by IORING_OP_SEND_ZC: cold data without any CPU copy.  Where
 * there is no SEND_ZC (threads, AF_UNIX, loopback) they are sent plainly, with
 * one.
 *
 *	reads   | head | .... | .... |      in the order of the file
 *	            |
 *	            v   done: taken, hashed, then sent
 *	        | piece |
 *
 * While the sink takes each piece at once the disk is what is slow, and reads
 * run deep; where it does not, one read ahead is enough, so that a peer that
 * stalls keeps little memory.
 */
#include <errno.h>

#include "route/direct_piece.h"
#include "route/routes.h"
#include "route/zerocopy.h"
#include "sys/sys.h"

#define DIRECT_ZC_READS 3

struct direct_zc_read {
	struct request r;
	struct direct_blocks blocks;
	struct zerocopy_piece *piece; /* its buffer */
	bool stale;                   /* an earlier one was short: this is elsewhere */
};

struct direct_zc {
	struct zerocopy z;
	struct direct_source source;
	struct zerocopy_piece *piece; /* being sent, or NULL */
	struct direct_zc_read reads[DIRECT_ZC_READS];
	unsigned head, reads_n;
	unsigned depth;               /* reads that may be in flight now */
	unsigned pushes;              /* sends that the piece took so far */
	uint64_t ahead;               /* bytes asked for and not yet taken */
	bool no_buffer;               /* the last time that one was wanted */
};

static int direct_zc_start(struct job *j)
{
	struct direct_zc *s = sys_calloc(1, sizeof(*s));
	int r;

	if (!s)
		return job_fail(j, -ENOMEM, "direct-zc: no memory");
	r = direct_source_open(&s->source, j);
	if (r < 0) {
		free(s);
		return r;
	}
	s->depth = 1;
	zerocopy_init(&s->z, j, ZEROCOPY_RING, false, 0);
	/* Loopback copies such sends page by page, and its receiver's queue now
	 * and then overflows by them and waits for a timer. */
	if (!j->to.tcp || j->to.local || !caps_has(job_caps(j), FACT_SEND_ZC))
		s->z.plain = true;
	j->priv = s;
	return 0;
}

static void direct_zc_finish(struct job *j)
{
	struct direct_zc *s = j->priv;

	zerocopy_deinit(&s->z);
	direct_source_close(&s->source);
	free(s);
	j->priv = NULL;
}

/* Bytes that may be asked for now.  What is asynchronous costs no turn. */
static uint64_t direct_zc_want(struct job *j)
{
	struct direct_zc *s = j->priv;
	uint64_t want;

	if (!j->rate_bytes)
		return (j->len == DECANT_TO_END ? UINT64_MAX : j->len) - j->taken - s->ahead;
	want = job_want(j, UINT64_MAX);
	return want > s->ahead ? want - s->ahead : 0;
}

/* Start one more read; false: there is nothing to read, or no room for it. */
static bool direct_zc_ask(struct job *j)
{
	struct direct_zc *s = j->priv;
	struct direct_zc_read *rd = &s->reads[(s->head + s->reads_n) % DIRECT_ZC_READS];
	uint64_t want;
	struct zerocopy_piece *p;

	if (s->reads_n >= s->depth)
		return false;
	want = direct_zc_want(j);
	if (want == 0)
		return false;
	p = zerocopy_piece(&s->z);
	if (!p)
		return false;
	p->buffer = job_buffer_get(j);
	s->no_buffer = !p->buffer;
	if (s->no_buffer) {
		zerocopy_piece_over(&s->z, p);
		return false;
	}
	*rd = (struct direct_zc_read){ .piece = p };
	rd->blocks = direct_blocks(&s->source, j, j->taken + s->ahead, want,
				   p->buffer->size_bytes);
	rd->r = (struct request){
		.op = REQUEST_READ, .fd = s->source.fd, .addr = p->buffer->data,
		.len_bytes = (uint32_t)rd->blocks.len, .offset = rd->blocks.offset,
		.buffer_index = p->buffer->index,
	};
	if (job_request(j, &rd->r) < 0) {
		zerocopy_piece_over(&s->z, p);
		s->no_buffer = true; /* through the scratch, then */
		return false;
	}
	s->ahead += rd->blocks.want;
	s->reads_n++;
	return true;
}

/* What is being read behind a short piece is not what comes next. */
static void direct_zc_restart(struct direct_zc *s)
{
	for (unsigned i = 0; i < s->reads_n; i++)
		s->reads[(s->head + i) % DIRECT_ZC_READS].stale = true;
	s->ahead = 0;
}

/* The oldest read is done: its bytes become the piece.  0, or the job's error. */
static int direct_zc_take(struct job *j)
{
	struct direct_zc *s = j->priv;
	struct direct_zc_read *rd = &s->reads[s->head];
	struct zerocopy_piece *p = rd->piece;
	uint64_t got = direct_got(&rd->blocks, rd->r.result);
	int r = 0;

	s->head = (s->head + 1) % DIRECT_ZC_READS;
	s->reads_n--;
	if (rd->stale || rd->r.result == -EAGAIN || rd->r.result == -EINTR) {
		zerocopy_piece_over(&s->z, p);
		if (!rd->stale)
			direct_zc_restart(s);
		return 0;
	}
	s->ahead -= rd->blocks.want;
	if (got < rd->blocks.want)
		direct_zc_restart(s);
	if (got == 0) {
		zerocopy_piece_over(&s->z, p);
		r = rd->r.result < 0 ? job_fail_source(j, (int)rd->r.result) :
				       job_source_ended(j);
		return r < 0 ? r : 0;
	}
	p->data = p->buffer->data + rd->blocks.skip;
	p->len_bytes = got;
	s->piece = p;
	s->pushes = 0;
	job_took(j, got);
	job_hash(j, p->data, got);
	return 0;
}

/* Nothing to send: what is it that we wait for? */
static int direct_zc_idle(struct job *j)
{
	struct direct_zc *s = j->priv;

	if (s->reads_n > 0)
		return STEP_WAIT; /* its completion steps the job */
	if (job_all_taken(j)) {
		job_snapshotted(j, 0);
		return zerocopy_idle(&s->z) ? STEP_DONE : zerocopy_wait(&s->z);
	}
	if (s->no_buffer) {
		s->no_buffer = false;
		return direct_step(&s->source, j);
	}
	if (direct_zc_want(j) == 0)
		return STEP_WAIT; /* for the rate */
	return zerocopy_idle(&s->z) ? STEP_MORE : zerocopy_wait(&s->z);
}

/* All of the piece is with the kernel. */
static void direct_zc_sent(struct direct_zc *s)
{
	zerocopy_piece_over(&s->z, s->piece);
	s->piece = NULL;
	s->depth = s->pushes > 1 ? 1 : s->depth < DIRECT_ZC_READS ? s->depth + 1 : s->depth;
}

static bool direct_zc_head_done(const struct direct_zc *s)
{
	return s->reads_n > 0 && request_done(&s->reads[s->head].r);
}

static int direct_zc_step(struct job *j)
{
	struct direct_zc *s = j->priv;
	int r = zerocopy_reap(&s->z);

	if (r < 0)
		return r;
	if (s->piece && s->piece->done_bytes == s->piece->len_bytes)
		direct_zc_sent(s);
	while (!s->piece && direct_zc_head_done(s)) {
		r = direct_zc_take(j);
		if (r < 0)
			return r;
	}
	if (job_all_taken(j))
		job_snapshotted(j, 0);
	while (direct_zc_ask(j))
		;
	if (s->z.fault)
		return job_fail(j, -EFAULT, "direct-zc: the kernel cannot read our buffer");
	if (zerocopy_sending(&s->z))
		return STEP_WAIT;
	if (!s->piece)
		return direct_zc_idle(j);
	s->pushes++;
	return zerocopy_push(&s->z, s->piece, UINT64_MAX);
}

static bool direct_zc_fits(const struct query *q, struct fit *fit)
{
	if (!direct_fits(q, fit))
		return false;
	if (q->to->tcp && q->uring && !q->to->local && caps_has(q->caps, FACT_SEND_ZC))
		return route_note(fit, "reads the disk even where the data are in the page cache");
	fit->copies = 1;
	return route_note(fit, "reads the disk even where the data are in the page cache; the "
			  "copy is that into the socket");
}

static void direct_zc_drain(struct job *j)
{
	(void)zerocopy_reap(&((struct direct_zc *)j->priv)->z);
}

const struct route route_direct_zc = {
	.ops = { "direct-zc", direct_zc_start, direct_zc_step, direct_zc_finish, direct_zc_drain },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last read completes; buffers are free at the last notification",
	.user_space = true,
	.past_cache = true,
	.fits = direct_zc_fits,
};
