/* SPDX-License-Identifier: MIT */
/* sendfile: the page cache's own pages, handed to the socket.  LIVE. */
#include <errno.h>

#include "route/routes.h"
#include "route/sendfile.h"
#include "route/window.h"
#include "sys/sys.h"

static const enum fact sendfile_needs[] = { FACT_SENDFILE, FACT_NONE };

int64_t sendfile_piece(struct job *j, int fd, uint64_t want)
{
	uint64_t offset = j->from.offset + j->taken;
	struct sys_sigpipe saved;
	int64_t n = sys_sigpipe_block(&saved);

	if (n < 0)
		return n;
	n = sys_sendfile(j->to.io_fd, fd, &offset, want);
	sys_sigpipe_restore(&saved);
	return n;
}

bool sendfile_cannot(int64_t n)
{
	return n == -EINVAL || n == -ENOSYS || n == -EOPNOTSUPP || n == -EOVERFLOW;
}

/* One number for two descriptors: whose is it? */
static bool sendfile_blames_sink(int64_t n)
{
	switch (n) {
	case -EPIPE:
	case -ECONNRESET:
	case -ECONNABORTED:
	case -ECONNREFUSED:
	case -ENOTCONN:
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -ENETDOWN:
	case -ENOBUFS:
		return true;
	default:
		return false;
	}
}

int sendfile_end(struct job *j)
{
	int r = 0;

	if (j->guarantee == DECANT_LIVE && j->from.kind == DECANT_END_FILE)
		r = window_kept(j);
	return r < 0 ? r : job_source_ended(j);
}

int sendfile_result(struct job *j, int64_t n)
{
	if (n > 0) {
		job_took(j, (uint64_t)n);
		job_sent(j, (uint64_t)n, 0);
		return STEP_MORE;
	}
	if (n == 0)
		return sendfile_end(j);
	if (n == -EAGAIN) {
		job_wait_sink(j);
		return STEP_WAIT;
	}
	return sendfile_blames_sink(n) ? job_fail_sink(j, (int)n) : job_fail_source(j, (int)n);
}

static int sendfile_start(struct job *j)
{
	(void)j;
	return 0;
}

static int sendfile_step(struct job *j)
{
	uint64_t want = job_want(j, UINT64_MAX);
	int64_t n;

	if (j->guarantee == DECANT_STABLE)
		job_snapshotted(j, 0); /* it cannot change at all */
	if (want == 0)
		return job_all_taken(j) ? sendfile_end(j) : STEP_WAIT;
	n = sendfile_piece(j, j->from.io_fd, want);
	if (sendfile_cannot(n))
		return job_plain_step(j, want);
	return sendfile_result(j, n);
}

bool sendfile_fits_sink(const struct query *q, struct fit *fit, const char *call)
{
	if (q->to->nonblock)
		return true;
	return route_refuse(fit, "%s: the socket is in blocking mode, where one call may wait for "
			    "the peer without limit", call);
}

bool sendfile_fits_source(const struct query *q, struct fit *fit)
{
	if (q->from->immutable) {
		fit->guarantee = DECANT_STABLE;
		return route_note(fit, "the source cannot change: %s; the kernel may copy",
				  q->from->immutable);
	}
	if (q->guarantee == DECANT_STABLE)
		return route_refuse(fit, "what is on its way are the file's own pages: a later "
				    "write shows; a lease would end before the peer has read");
	return route_note(fit, "the kernel may copy");
}

static bool sendfile_fits(const struct query *q, struct fit *fit)
{
	return sendfile_fits_sink(q, fit, "sendfile(2)") && sendfile_fits_source(q, fit);
}

const struct route route_sendfile = {
	.ops = { "sendfile", sendfile_start, sendfile_step, NULL },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.needs = sendfile_needs,
	.copies = 0,
	.guarantee = DECANT_LIVE,
	.snapshotted = "never for certain, unless the source cannot change: then at once",
	.fits = sendfile_fits,
};
