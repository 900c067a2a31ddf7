/* SPDX-License-Identifier: MIT */
/*
 * When does the sink have it?  The last phase of a transfer.
 *
 * Neither a pipe nor a socket tells when it has become empty, so they are
 * asked, at intervals that grow from 20 us to 20 ms:
 *	pipe      FIONREAD is 0: the reader took everything
 *	AF_UNIX   SIOCOUTQ is 0, and no error: likewise
 *	TCP       SIOCOUTQ is 0: acknowledged by the peer's kernel, no more
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "engine/engine.h"
#include "sys/sys.h"

#define DELIVER_FIRST_NS 20000u
#define DELIVER_MAX_NS 20000000u

static int deliver_done(struct job *j, uint32_t flags)
{
	j->q->delivered = true;
	j->q->deliver_left = 0;
	event_emit_unlocked(j, DECANT_DELIVERED, flags, j->sent);
	return STEP_DONE;
}

static int deliver_again(struct job *j, uint64_t left)
{
	struct job_queue *q = j->q;

	if (q->deliver_wait_ns == 0 || left < q->deliver_left) {
		q->deliver_wait_ns = DELIVER_FIRST_NS;
		if (j->stall_ms)
			q->progress_ns = sys_clock_ns();
	} else if (q->deliver_wait_ns < DELIVER_MAX_NS) {
		q->deliver_wait_ns += q->deliver_wait_ns / 2;
	}
	q->deliver_left = left;
	job_wait_ns(j, q->deliver_wait_ns);
	return STEP_WAIT;
}

static int deliver_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int r = sys_poll(&p, 1, 0);

	return r < 0 ? 0 : p.revents;
}

static int deliver_pipe(struct job *j)
{
	int left = 0, r;
	bool gone;

	/* First whether the reader is there, then what is left: in the other
	 * order a reader that takes all and leaves would look like a loss. */
	gone = deliver_poll(j->to.io_fd) & POLLERR;
	r = sys_fionread(j->to.io_fd, &left);
	if (r < 0)
		return job_fail_sink(j, r);
	if (left == 0)
		return deliver_done(j, DECANT_TAKEN);
	j->q->deliver_left = gone ? (uint64_t)left : j->q->deliver_left;
	if (gone)
		return job_fail(j, -EPIPE, "the pipe's reader left with %d bytes unread", left);
	return deliver_again(j, (uint64_t)left);
}

static int deliver_socket_error(struct job *j)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (!(deliver_poll(j->to.io_fd) & POLLERR))
		return 0;
	if (sys_getsockopt(j->to.io_fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return 0;
	return -err;
}

static bool deliver_tcp_closed(struct job *j)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return sys_getsockopt(j->to.io_fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state == TCP_CLOSE;
}

static int deliver_socket(struct job *j)
{
	int left = 0, err, r;

	r = sys_siocoutq(j->to.io_fd, &left);
	if (r < 0)
		return deliver_done(j, DECANT_WRITTEN); /* a kind that does not tell */
	err = deliver_socket_error(j);
	if (left == 0 && (err == 0 || j->to.tcp))
		return deliver_done(j, j->to.tcp ? DECANT_ACKED : DECANT_TAKEN);
	if (err == 0 && left > 0 && j->to.tcp && deliver_tcp_closed(j))
		err = -ECONNRESET;
	if (err < 0) {
		/* AF_UNIX: how much of it was read is not known. */
		j->q->deliver_left = left > 0 && j->to.tcp ? (uint64_t)left : j->sent;
		return err_errno(&j->err, err, "the peer closed the %s before it had everything",
				 end_noun(&j->to));
	}
	return deliver_again(j, (uint64_t)left);
}

static int deliver_file(struct job *j)
{
	struct job_queue *q = j->q;
	int r;

	if (!(j->flags & DECANT_SYNC))
		return deliver_done(j, DECANT_WRITTEN);
	if (q->inline_run) {
		r = sys_fdatasync(j->to.fd);
	} else if (!q->sync_started) {
		q->sync_started = true;
		q->sync = (struct request) { .op = REQUEST_FSYNC,
					     .fd = j->to.fd,
					     .buffer_index = -1 };
		r = job_request(j, &q->sync);
		if (r == 0)
			return STEP_WAIT;
	} else if (!q->sync.done) {
		return STEP_WAIT;
	} else {
		r = (int)q->sync.result;
	}
	if (r < 0) {
		q->deliver_left = j->sent;
		return err_errno(&j->err, r, "making the file durable");
	}
	return deliver_done(j, DECANT_DURABLE);
}

uint64_t deliver_left(struct job *j)
{
	int left = 0, r = 0;

	if (j->to.kind == DECANT_END_PIPE)
		r = sys_fionread(j->to.io_fd, &left);
	else if (j->to.kind == DECANT_END_SOCKET)
		r = sys_siocoutq(j->to.io_fd, &left); /* AF_UNIX: rather more */
	else
		return j->to.kind == DECANT_END_FD ? j->sent : 0;
	return r < 0 || left < 0 ? j->sent : (uint64_t)left;
}

bool deliver_is_certain(const struct job *j)
{
	switch (j->to.kind) {
	case DECANT_END_PIPE:
	case DECANT_END_SOCKET:
	case DECANT_END_FD:
		return false;
	default:
		return true;
	}
}

int deliver_step(struct job *j)
{
	/* A file's durability was asked for in any case. */
	if (j->until == DECANT_UNTIL_SENT && !(j->flags & DECANT_SYNC))
		return STEP_DONE;
	switch (j->to.kind) {
	case DECANT_END_FILE:
		return deliver_file(j);
	case DECANT_END_PIPE:
		return deliver_pipe(j);
	case DECANT_END_SOCKET:
		return deliver_socket(j);
	case DECANT_END_FD:
		return deliver_done(j, DECANT_WRITTEN);
	default:
		return deliver_done(j, DECANT_DISCARDED);
	}
}
