/* SPDX-License-Identifier: MIT */
/* Sends without a CPU copy: the book, the plain way out, IORING_OP_SEND_ZC. */
#include <errno.h>
#include <sys/socket.h>

#include "route/zerocopy.h"
#include "sys/sys.h"

/* What a plain send moves at most before zero copies are tried again. */
#define ZEROCOPY_PLAIN_BYTES (256u << 10)
/* Below these a copy costs less than the pinning and the notification. */
#define ZEROCOPY_RING_MIN_BYTES (16u << 10)
#define ZEROCOPY_MSG_MIN_BYTES (10u << 10)
/* So often in a row "copied", and it is of no use on this way. */
#define ZEROCOPY_COPIED_RUN_MAX 2

static void zerocopy_piece_free(struct zerocopy *z, struct zerocopy_piece *p)
{
	if (p->mapping)
		job_unmap(z->job, p->mapping);
	if (p->buffer)
		job_buffer_put(z->job, p->buffer);
	*p = (struct zerocopy_piece){ 0 };
}

void zerocopy_init(struct zerocopy *z, struct job *j, enum zerocopy_how how, bool takes,
		   unsigned copies)
{
	z->job = j;
	z->how = how;
	z->takes = takes;
	z->copies = copies;
	if (how == ZEROCOPY_MSG)
		zerocopy_msg_init(z);
	else
		z->plain = !job_has_uring(j);
}

void zerocopy_deinit(struct zerocopy *z)
{
	if (z->how == ZEROCOPY_MSG)
		zerocopy_msg_deinit(z);
	for (unsigned i = 0; i < ZEROCOPY_SENDS_MAX; i++)
		if (z->sends[i].used && z->sends[i].pinned_bytes)
			job_unpin(z->job, z->sends[i].pinned_bytes);
	for (unsigned i = 0; i < ZEROCOPY_PIECES_MAX; i++)
		if (z->pieces[i].used)
			zerocopy_piece_free(z, &z->pieces[i]);
}

struct zerocopy_piece *zerocopy_piece(struct zerocopy *z)
{
	for (unsigned i = 0; i < ZEROCOPY_PIECES_MAX; i++) {
		if (!z->pieces[i].used) {
			z->pieces[i].used = true;
			return &z->pieces[i];
		}
	}
	return NULL;
}

void zerocopy_piece_over(struct zerocopy *z, struct zerocopy_piece *p)
{
	p->over = true;
	if (p->held == 0)
		zerocopy_piece_free(z, p);
}

bool zerocopy_sending(const struct zerocopy *z)
{
	return z->flying;
}

bool zerocopy_idle(const struct zerocopy *z)
{
	return z->sends_n == 0;
}

uint64_t zerocopy_released_to(const struct zerocopy *z)
{
	uint64_t end = z->job->sent;

	for (unsigned i = 0; i < ZEROCOPY_SENDS_MAX; i++) {
		const struct zerocopy_send *s = &z->sends[i];

		if (s->used && s->bytes && s->end - s->bytes < end)
			end = s->end - s->bytes;
	}
	return end;
}

int zerocopy_wait(struct zerocopy *z)
{
	/* A ring's notifications step the job by themselves. */
	return z->how == ZEROCOPY_MSG ? zerocopy_msg_wait(z) : STEP_WAIT;
}

/* ------------------------------------------------------------- the account */

static struct zerocopy_send *zerocopy_send_new(struct zerocopy *z, struct zerocopy_piece *p)
{
	for (unsigned i = 0; i < ZEROCOPY_SENDS_MAX; i++) {
		struct zerocopy_send *s = &z->sends[i];

		if (s->used)
			continue;
		*s = (struct zerocopy_send){ .piece = p, .order = z->order++, .used = true };
		z->sends_n++;
		p->held++;
		return s;
	}
	return NULL;
}

static void zerocopy_send_free(struct zerocopy *z, struct zerocopy_send *s)
{
	struct zerocopy_piece *p = s->piece;

	if (s->pinned_bytes)
		job_unpin(z->job, s->pinned_bytes);
	s->used = false;
	z->sends_n--;
	p->held--;
	if (p->over && p->held == 0)
		zerocopy_piece_free(z, p);
}

struct zerocopy_send *zerocopy_oldest(struct zerocopy *z)
{
	struct zerocopy_send *oldest = NULL;

	for (unsigned i = 0; i < ZEROCOPY_SENDS_MAX; i++) {
		struct zerocopy_send *s = &z->sends[i];

		if (s->used && (!oldest || (int32_t)(s->order - oldest->order) < 0))
			oldest = s;
	}
	return oldest;
}

static void zerocopy_seen(struct zerocopy *z, uint64_t end)
{
	if (end > z->seen_end)
		z->seen_end = end;
}

/* The kernel took n bytes of the piece; copies: those of this send. */
static void zerocopy_account(struct zerocopy *z, struct zerocopy_piece *p, uint64_t n,
			     unsigned copies)
{
	p->done_bytes += n;
	if (z->takes)
		job_took(z->job, n);
	job_sent(z->job, n, z->copies + copies);
	zerocopy_seen(z, z->job->sent);
}

void zerocopy_released(struct zerocopy *z, struct zerocopy_send *s, bool copied)
{
	struct job *j = z->job;

	z->copied_run = copied ? z->copied_run + 1 : 0;
	if (copied) {
		/* What job_sent() could not know yet. */
		j->kernel_copied = true;
		j->cpu_copies += s->bytes;
		if (z->copies == 0)
			j->copied_bytes += s->bytes;
		if (z->copied_run >= ZEROCOPY_COPIED_RUN_MAX)
			z->plain = true;
	}
	zerocopy_seen(z, s->end);
	zerocopy_send_free(z, s);
}

/* ---------------------------------------------------------------- sending */

/*
 * Why a send failed.  0: go on (plainly, or after a wait).  Errors that only
 * zero copies have are not the job's: a plain send will tell if there is more.
 */
static int zerocopy_failed(struct zerocopy *z, int64_t n)
{
	switch (n) {
	case -EAGAIN:
		z->full = true;
		return 0;
	case -EINTR:
		return 0;
	case -EFAULT:
		z->fault = true;
		return 0;
	case -ENOMEM:  /* RLIMIT_MEMLOCK, which others of this user share */
	case -ENOBUFS: /* the same from MSG_ZEROCOPY, and optmem_max */
		z->plain_once = true;
		z->job->kernel_copied = true;
		return 0;
	case -EOPNOTSUPP: /* kTLS and the like */
	case -EINVAL:
	case -ENOSYS:
		z->plain = true;
		z->job->kernel_copied = true;
		return 0;
	case 0:
		return job_fail_sink(z->job, -EIO); /* never a busy loop */
	default:
		return job_fail_sink(z->job, (int)n);
	}
}

static int zerocopy_copy(struct zerocopy *z, struct zerocopy_piece *p, uint64_t len)
{
	struct job *j = z->job;
	int64_t n = end_write(&j->to, j->sent, p->data + p->done_bytes, len, job_more(j, len));

	if (n > 0) {
		z->plain_once = false;
		zerocopy_account(z, p, (uint64_t)n, 1);
		return STEP_MORE;
	}
	if (n == -EAGAIN) {
		job_wait_sink(j);
		return STEP_WAIT;
	}
	if (n == -EFAULT) {
		z->fault = true;
		return STEP_MORE;
	}
	return job_fail_sink(j, n == 0 ? -EIO : (int)n);
}

static int zerocopy_push_msg(struct zerocopy *z, struct zerocopy_send *s, const void *data,
			     uint64_t len)
{
	struct job *j = z->job;
	int64_t n = sys_send(j->to.io_fd, data, len, MSG_ZEROCOPY | MSG_DONTWAIT | MSG_NOSIGNAL |
			     (j->flags & DECANT_MORE ? MSG_MORE : 0));

	if (n <= 0) {
		/* No number was used up for it: no notification will come. */
		zerocopy_send_free(z, s);
		return zerocopy_failed(z, n);
	}
	zerocopy_account(z, s->piece, (uint64_t)n, 0);
	s->bytes = (uint64_t)n;
	s->end = j->sent;
	return 0;
}

static int zerocopy_push_ring(struct zerocopy *z, struct zerocopy_send *s, const void *data,
			      uint64_t len)
{
	struct job *j = z->job;
	int r;

	s->r = (struct request){
		.op = REQUEST_SEND_ZC, .fd = j->to.io_fd, .addr = (void *)data,
		.len_bytes = (uint32_t)len,
		/* No MSG_MORE but where the caller says so: what is held back is not
		 * released either, and we would wait for our own notification. */
		.flags = MSG_NOSIGNAL | (j->flags & DECANT_MORE ? MSG_MORE : 0),
		/*
		 * Not by its registration, which is for reads and writes: of a huge
		 * page that is one segment, and the kernel (6.18) charges a send
		 * with all of the segment up to its end.  16 KiB then fill a
		 * socket's buffer, here and at a local receiver.
		 */
		.buffer_index = -1,
	};
	r = job_request(j, &s->r);
	if (r < 0) {
		zerocopy_send_free(z, s);
		z->plain_once = true;
		return 0;
	}
	z->flying = s;
	return 0;
}

static bool zerocopy_pin(struct zerocopy *z, struct zerocopy_send *s, uint64_t len)
{
	if (!job_pin(z->job, len))
		return false;
	s->pinned_bytes = len;
	return true;
}

static int zerocopy_wait_sink(struct zerocopy *z)
{
	z->full = false;
	job_wait_sink(z->job);
	return STEP_WAIT;
}

int zerocopy_push(struct zerocopy *z, struct zerocopy_piece *p, uint64_t len_max)
{
	uint64_t len = p->len_bytes - p->done_bytes, min = ZEROCOPY_MSG_MIN_BYTES;
	struct zerocopy_send *s;
	int r;

	if (len > len_max)
		len = len_max;
	if (z->full)
		return zerocopy_wait_sink(z);
	if (z->how == ZEROCOPY_RING)
		min = ZEROCOPY_RING_MIN_BYTES;
	if (z->plain || z->plain_once || len < min)
		return zerocopy_copy(z, p, len < ZEROCOPY_PLAIN_BYTES || z->plain ?
						   len : ZEROCOPY_PLAIN_BYTES);
	if (len > ZEROCOPY_SEND_MAX_BYTES)
		len = ZEROCOPY_SEND_MAX_BYTES;
	s = zerocopy_send_new(z, p);
	if (!s)
		return zerocopy_wait(z);
	if (!zerocopy_pin(z, s, len)) {
		zerocopy_send_free(z, s);
		return zerocopy_copy(z, p, len < ZEROCOPY_PLAIN_BYTES ? len : ZEROCOPY_PLAIN_BYTES);
	}
	if (z->how == ZEROCOPY_MSG)
		r = zerocopy_push_msg(z, s, p->data + p->done_bytes, len);
	else
		r = zerocopy_push_ring(z, s, p->data + p->done_bytes, len);
	if (r < 0)
		return r;
	if (z->full)
		return zerocopy_wait_sink(z);
	return z->flying ? STEP_WAIT : STEP_MORE;
}

/* ------------------------------------------------------------ taking it in */

static int zerocopy_ring_result(struct zerocopy *z, struct zerocopy_send *s)
{
	z->flying = NULL;
	if (s->r.result <= 0)
		return zerocopy_failed(z, s->r.result);
	s->bytes = (uint64_t)s->r.result;
	zerocopy_account(z, s->piece, s->bytes, 0);
	s->end = z->job->sent;
	return 0;
}

int zerocopy_reap(struct zerocopy *z)
{
	int failed = 0;

	if (z->how == ZEROCOPY_MSG)
		return zerocopy_msg_reap(z);
	for (unsigned i = 0; i < ZEROCOPY_SENDS_MAX; i++) {
		struct zerocopy_send *s = &z->sends[i];

		if (!s->used || !request_done(&s->r))
			continue;
		if (s == z->flying) {
			int r = zerocopy_ring_result(z, s);

			if (r < 0)
				failed = r;
		}
		if (!request_is_released(&s->r))
			continue;
		if (s->bytes)
			zerocopy_released(z, s, s->r.copied);
		else
			zerocopy_send_free(z, s);
	}
	return failed;
}

bool zerocopy_fits(const struct query *q, struct fit *fit, enum zerocopy_how how)
{
	const char *call = how == ZEROCOPY_RING ? "SEND_ZC" : "MSG_ZEROCOPY", *cut = "";

	if (!q->to->tcp)
		return route_refuse(fit, "%s: TCP only; the sink is a %s", call, end_noun(q->to));
	if (how == ZEROCOPY_RING && !q->uring)
		return route_refuse(fit, "SEND_ZC: this engine runs without io_uring");
	/* The pages on their way are the file's own, and a cut clears them. */
	if (fit->copies == 0 && q->from->kind == DECANT_END_FILE)
		cut = "; if the file is cut under way, zeros may come before the error";
	if (q->to->local) {
		fit->copies++;
		return route_note(fit, "the peer is on this host: the kernel copies on delivery%s",
				  cut);
	}
	return route_note(fit, "one copy where the device cannot gather, or is virtual%s", cut);
}
