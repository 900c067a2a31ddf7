/* SPDX-License-Identifier: MIT */
/* Reads past the page cache for the routes to sockets. */
#include <errno.h>
#include <string.h>

#include "route/direct_piece.h"
#include "route/reopen.h"
#include "sys/sys.h"

int direct_source_open(struct direct_source *s, struct job *j)
{
	*s = (struct direct_source){ .fd = j->from.fd, .align = j->from.dio_align };
	if (s->align == 0)
		return job_fail(j, -EOPNOTSUPP, "source: no reads past the page cache here");
	if (j->from.direct_fd)
		return 0;
	s->fd = reopen_direct(j, &j->from);
	s->own = s->fd >= 0;
	return s->own ? 0 : s->fd;
}

void direct_source_close(struct direct_source *s)
{
	if (s->own)
		(void)sys_close(s->fd);
	s->own = false;
}

struct direct_blocks direct_blocks(const struct direct_source *s, const struct job *j,
				   uint64_t pos, uint64_t want, uint64_t max)
{
	uint64_t at = j->from.offset + pos;
	struct direct_blocks b = { .skip = at % s->align, .want = want };

	max -= max % s->align;
	b.offset = at - b.skip;
	if (b.want > max - b.skip)
		b.want = max - b.skip;
	b.len = (b.skip + b.want + s->align - 1) / s->align * s->align;
	return b;
}

uint64_t direct_got(const struct direct_blocks *b, int64_t n)
{
	uint64_t got = n > 0 && (uint64_t)n > b->skip ? (uint64_t)n - b->skip : 0;

	return got < b->want ? got : b->want;
}

int direct_step(const struct direct_source *s, struct job *j)
{
	uint64_t size, want, got;
	unsigned char *buf = job_scratch(j, &size);
	struct direct_blocks b;
	int64_t n;

	if (!buf)
		return job_fail(j, -ENOMEM, "buffer: no memory");
	want = job_want(j, size);
	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	b = direct_blocks(s, j, j->taken, want, size);
	n = sys_pread(s->fd, buf, b.len, b.offset);
	if (n < 0)
		return job_fail_source(j, (int)n);
	got = direct_got(&b, n);
	if (got == 0)
		return job_source_ended(j);
	n = end_write(&j->to, j->sent, buf + b.skip, got, job_more(j, got));
	if (n == -EAGAIN) {
		job_wait_sink(j); /* read again then: nothing is held meanwhile */
		return STEP_WAIT;
	}
	if (n <= 0)
		return job_fail_sink(j, n == 0 ? -EIO : (int)n);
	job_hash(j, buf + b.skip, (uint64_t)n);
	job_took(j, (uint64_t)n);
	job_sent(j, (uint64_t)n, 1);
	return STEP_MORE;
}

bool direct_fits(const struct query *q, struct fit *fit)
{
	if (q->from->dio_align == 0)
		return route_refuse(fit, "O_DIRECT: not on this %s", end_noun(q->from));
	if (!q->from->cached_fs)
		return route_refuse(fit, "O_DIRECT: this file system is memory itself");
	return true;
}
