/* SPDX-License-Identifier: MIT */
/* What a policy puts in the place of a call, with the caller's data. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "policy/notify.h"
#include "sys/proc.h"
#include "sys/sys.h"

/* -------------------------------------------------------------- vmsplice */

/* Where in the caller's vector a copy stands. */
struct copy_at {
	struct iovec iov[NOTIFY_VECTOR_MAX];
	unsigned n, i;
	uint64_t skip;   /* bytes of iov[i] that are done */
	uint64_t total;
};

/*
 * An address that is nobody's: where the caller's cannot be read, the kernel
 * shall say so itself, after whatever it finds wrong before that.
 */
#define COPY_NOWHERE ((void *)8)
#define COPY_NOWHERE_LEN 4096

struct copy_iov32 {
	uint32_t base, len;
};

static int64_t copy_load(struct notify_job *job, struct copy_at *at)
{
	struct copy_iov32 small[NOTIFY_VECTOR_MAX];
	uint64_t n = job->event.n;
	int64_t r;

	if (n > NOTIFY_VECTOR_MAX)
		return -EINVAL;
	at->n = (unsigned)n;
	at->i = 0;
	at->skip = at->total = 0;
	if (n == 0)
		return 0;
	if (!job->is_32bit)
		r = notify_read(job, job->args[1], at->iov, n * sizeof(at->iov[0]));
	else
		r = notify_read(job, job->args[1], small, n * sizeof(small[0]));
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++) {
		if (job->is_32bit)
			at->iov[i] = (struct iovec){ (void *)(uintptr_t)small[i].base,
						     small[i].len };
		if ((ssize_t)at->iov[i].iov_len < 0)
			return -EINVAL;
		/* More than one call moves is cut off, as the kernel does. */
		if (at->iov[i].iov_len > MOVE_MAX - at->total)
			at->iov[i].iov_len = MOVE_MAX - at->total;
		at->total += at->iov[i].iov_len;
	}
	return 0;
}

uint64_t notify_asked(struct notify_job *job)
{
	struct copy_at at;

	return copy_load(job, &at) < 0 ? 0 : at.total;
}

/* Up to max bytes from where the copy stands, as pieces. */
static unsigned copy_pieces(const struct copy_at *at, uint64_t max, struct iovec *ret,
			    unsigned ret_max, uint64_t *ret_len)
{
	uint64_t skip = at->skip;
	unsigned n = 0;

	*ret_len = 0;
	for (unsigned i = at->i; i < at->n && n < ret_max && *ret_len < max; i++, skip = 0) {
		uint64_t len = at->iov[i].iov_len - skip;

		if (len == 0)
			continue;
		if (len > max - *ret_len)
			len = max - *ret_len;
		ret[n++] = (struct iovec){ (char *)at->iov[i].iov_base + skip, len };
		*ret_len += len;
	}
	return n;
}

static void copy_advance(struct copy_at *at, uint64_t len)
{
	while (at->i < at->n && len >= at->iov[at->i].iov_len - at->skip) {
		len -= at->iov[at->i].iov_len - at->skip;
		at->i++;
		at->skip = 0;
	}
	at->skip += len;
}

/* The next bytes of the caller's into the buffer; 0: there are no more. */
static int64_t copy_fetch(struct notify_job *job, const struct copy_at *at)
{
	struct iovec theirs[64], ours = { job->buffer, NOTIFY_BUFFER };
	uint64_t len;
	unsigned n = copy_pieces(at, NOTIFY_BUFFER, theirs, 64, &len);
	ssize_t r;

	if (n == 0)
		return 0;
	ours.iov_len = len;
	r = sys_process_vm_readv(job->tid, &ours, 1, theirs, n);
	if (r >= 0 && !notify_is_valid(job))
		return -ESRCH;
	return r > 0 ? r : r == -ESRCH ? r : -EFAULT;
}

/* What cannot be fetched: EFAULT, but for what the pipe has to say before. */
static int64_t copy_put_nowhere(struct notify_job *job)
{
	const struct policy_verdict *v = &job->verdict;
	struct iovec iov = { COPY_NOWHERE, COPY_NOWHERE_LEN };
	struct pollfd p = { .fd = job->out, .events = POLLOUT };

	if (v->rwf)
		return move_put(&job->move, job->out, &iov, 1, v->nowait_ideal);
	if (sys_poll(&p, 1, 0) <= 0)
		return -EAGAIN;
	return sys_writev(job->out, &iov, 1);
}

/*
 * Waking somebody who is not needed costs more than a buffer full takes: so who
 * copies much looks each time whether another call waits.
 */
static void copy_share(struct notify_job *job, const struct copy_at *at)
{
	struct pollfd p = { .fd = job->n->listener, .events = POLLIN };

	if (at->total > NOTIFY_LONG && job->lead && sys_poll(&p, 1, 0) > 0)
		notify_hand_over(job);
}

static int64_t copy_write(struct notify_job *job, struct copy_at *at)
{
	const struct policy_verdict *v = &job->verdict;
	/* copy-v1 waits until all is written; copy-v2 for the first room only. */
	bool all = v->action == ACTION_WRITE && !v->rwf && !job->event.out.nonblock;
	bool wait = all || v->wait;
	uint64_t done = 0;

	for (;;) {
		int64_t got = copy_fetch(job, at);
		struct iovec iov = { job->buffer, got > 0 ? (size_t)got : 0 };
		int64_t put;

		copy_share(job, at);
		if (got <= 0 && (got != -EFAULT || done))
			return done || got == 0 ? (int64_t)done : got;
		if (v->action == ACTION_WAIT_WRITE && !done && move_is_full(&job->move, job->out))
			put = -EAGAIN;
		else if (got < 0)
			put = copy_put_nowhere(job);
		else
			put = move_put(&job->move, job->out, &iov, 1, v->nowait_ideal || !v->rwf);
		if (put == -EPIPE)
			job->broken = true;
		if (put < 0 && put != -EAGAIN)
			return done ? (int64_t)done : put;
		if (put > 0) {
			done += (uint64_t)put;
			copy_advance(at, (uint64_t)put);
			if (put == got)
				continue;
		}
		if (all || (wait && !done)) {
			int r = job->move.room(&job->move, job->out);

			if (r == 0)
				continue;
			return done ? (int64_t)done : r;
		}
		return done ? (int64_t)done : -EAGAIN;
	}
}

/* From the pipe to where the caller may write to, so that nothing is lost. */
static int64_t copy_read_some(struct notify_job *job, struct copy_at *at)
{
	struct iovec theirs[64], iov = { job->buffer, 0 };
	uint64_t len, from = 0, can = 0;
	unsigned n = copy_pieces(at, NOTIFY_BUFFER, theirs, 64, &len);
	int64_t got;

	for (unsigned i = 0; i < n; i++) {
		uint64_t part = notify_writable(job, (uintptr_t)theirs[i].iov_base,
						theirs[i].iov_len);

		can += part;
		if (part < theirs[i].iov_len)
			break;
	}
	if (len == 0)
		return 0;
	if (can == 0)
		iov.iov_base = COPY_NOWHERE;
	iov.iov_len = can ? can : COPY_NOWHERE_LEN;
	got = move_get(&job->move, job->in, &iov, 1,
		       job->verdict.nowait_ideal || !job->verdict.rwf);
	for (unsigned i = 0; got > 0 && i < n && from < (uint64_t)got; i++) {
		uint64_t part = (uint64_t)got - from < theirs[i].iov_len ? (uint64_t)got - from :
									  theirs[i].iov_len;

		if (notify_write(job, (uintptr_t)theirs[i].iov_base, job->buffer + from, part) < 0)
			return from ? (int64_t)from : -EFAULT;
		from += part;
	}
	return got;
}

static int64_t copy_read(struct notify_job *job, struct copy_at *at)
{
	bool wait = !job->verdict.rwf && !job->event.in.nonblock;
	uint64_t done = 0;

	for (;;) {
		int64_t got;

		copy_share(job, at);
		got = copy_read_some(job, at);
		if (got == -EAGAIN && !done && wait) {
			int r = job->move.data(&job->move, job->in);

			if (r < 0)
				return r;
			continue;
		}
		if (got <= 0)
			return done ? (int64_t)done : got;
		done += (uint64_t)got;
		copy_advance(at, (uint64_t)got);
		if (at->i >= at->n)
			return (int64_t)done;
	}
}

int64_t notify_vmsplice(struct notify_job *job)
{
	struct copy_at at;
	int64_t r = copy_load(job, &at);

	if (r < 0)
		return r;
	return job->verdict.action == ACTION_READ ? copy_read(job, &at) : copy_write(job, &at);
}

/* ---------------------------------------------- splice, sendfile and tee */

/* Files that procfs makes up have no pages to be lent, and odd rules. */
static bool copy_is_made_up(int fd, const struct stat *st)
{
	struct statfs fs;

	return st->st_size == 0 && S_ISREG(st->st_mode) && sys_fstatfs(fd, &fs) == 0 &&
	       fs.f_type == PROC_SUPER_MAGIC;
}

/* Where the offset is that the call was given, and how large; 0: none. */
static unsigned copy_offset(const struct notify_job *job, uint64_t *ret_addr)
{
	bool sendfile32 = job->is_32bit && job->req.data.nr == 187;

	*ret_addr = job->event.call == CALL_SENDFILE ? job->args[2] : job->args[1];
	return *ret_addr ? sendfile32 ? 4 : 8 : 0;
}

static int64_t copy_file(struct notify_job *job)
{
	bool sendfile = job->event.call == CALL_SENDFILE;
	bool nonblock = job->event.out.nonblock || (job->event.flags & SPLICE_F_NONBLOCK);
	uint64_t addr;
	unsigned size = copy_offset(job, &addr);
	struct stat st;
	int64_t pos = 0, r;

	if (!sendfile && job->args[3])
		return MOVE_NATIVE; /* an offset in a pipe */
	r = sys_fstat(job->in, &st);
	if (r == 0 && copy_is_made_up(job->in, &st))
		return MOVE_NATIVE;
	if (r == 0)
		r = size ? notify_read(job, addr, &pos, size) :
			   (pos = sys_lseek(job->in, 0, SEEK_CUR));
	if (r < 0)
		return r;
	if (size == 4)
		pos = (int32_t)pos;
	if (job->event.out.kind == KIND_SOCKET)
		r = move_file_socket(&job->move, job->in, &pos, job->out, job->event.n,
				     S_ISREG(st.st_mode) ? (uint64_t)st.st_size : UINT64_MAX,
				     move_is_stream(&job->move, job->out));
	else
		r = move_file_pipe(&job->move, job->in, &pos, job->out, job->event.n, nonblock);
	if (r <= 0)
		return r;
	if (!size)
		(void)sys_lseek(job->in, pos, SEEK_SET);
	else if (notify_write(job, addr, &pos, size) < 0)
		return -EFAULT;
	return r;
}

int64_t notify_copy(struct notify_job *job)
{
	const struct policy_event *e = &job->event;
	const uint32_t known = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

	if (job->in < 0 || job->out < 0 || e->n == 0 || (e->flags & ~known) || !e->in.can_read ||
	    !e->out.can_write)
		return MOVE_NATIVE;
	if (e->n > NOTIFY_LONG)
		notify_hand_over(job);
	if (e->call != CALL_TEE)
		return copy_file(job);
	if (job->in_ino == job->out_ino)
		return MOVE_NATIVE;
	return move_tee(&job->move, job->in, job->out, e->n,
			(e->flags & SPLICE_F_NONBLOCK) || e->in.nonblock || e->out.nonblock);
}
