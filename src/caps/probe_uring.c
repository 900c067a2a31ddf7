/* SPDX-License-Identifier: MIT */
/* io_uring, and its sends that do not copy. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caps/probe.h"
#include "sys/fault.h"
#include "sys/sys.h"
#include "uapi/io_uring.h"

#define PROBE_RING_ENTRIES 4
#define PROBE_SEND_BYTES 16384

/* What is behind a refusal; "" when nothing is known. */
static const char *uring_refusal(int code, char *text, size_t size)
{
	if (code == -ENOSYS)
		return ": the kernel has none, or one before Linux 5.11";
	if (code != -EPERM && code != -EACCES)
		return "";
	if (probe_read_text("/proc/sys/kernel/io_uring_disabled", text, size) == 0) {
		if (text[0] == '2')
			return ": kernel.io_uring_disabled is 2 (nobody)";
		if (text[0] == '1')
			return ": kernel.io_uring_disabled is 1 (only io_uring_group)";
	}
	if (probe_read_text("/proc/self/status", text, size) == 0 &&
	    strstr(text, "\nSeccomp:\t2"))
		return ": a seccomp filter, as containers have";
	return ": a security module or a seccomp filter";
}

static int uring_open(struct probe *p, struct io_uring *ring)
{
	char text[4096];
	int r = sys_uring_init(ring, PROBE_RING_ENTRIES, NULL);

	if (r < 0)
		probe_refused(p, r, "io_uring_setup%s", uring_refusal(r, text, sizeof(text)));
	return r;
}

/* The next completion within the time; EINTR is waited through. */
static int uring_next(struct io_uring *ring, struct io_uring_cqe *ret, uint64_t until_ns)
{
	struct io_uring_cqe *cqe;
	uint64_t now = sys_clock_ns();
	int r = -ETIME;

	while (now < until_ns) {
		r = sys_uring_wait(ring, &cqe, until_ns - now);
		if (r != -EINTR)
			break;
		now = sys_clock_ns();
	}
	if (r < 0)
		return r;
	*ret = *cqe;
	io_uring_cqe_seen(ring, cqe);
	return 0;
}

void probe_io_uring(struct caps *c, struct probe *p)
{
	uint64_t until_ns = sys_clock_ns() + PROBE_WAIT_NS;
	struct io_uring_cqe cqe;
	struct io_uring ring;
	int r;

	(void)c;
	if (uring_open(p, &ring) < 0)
		return;
	io_uring_prep_nop(io_uring_get_sqe(&ring));
	r = sys_uring_submit(&ring);
	if (r >= 0)
		r = uring_next(&ring, &cqe, until_ns);
	if (r < 0)
		probe_refused(p, r, "io_uring: a no-op");
	else if (cqe.res < 0)
		probe_refused(p, cqe.res, "io_uring: a no-op");
	else
		probe_yes(p, 0, "io_uring: a no-op came back");
	sys_uring_exit(&ring);
}

/* Pinned by the kernel, perhaps longer than we wait; never written to. */
static const char uring_payload[PROBE_SEND_BYTES];

struct uring_send {
	int res;            /* of the send */
	bool notified;
	uint32_t usage;     /* of the notification */
};

/*
 * Send without a copy and wait for both completions.  0: *ret is filled in.
 * -ETIME: no completion, or no notification though one was promised.
 */
static int uring_send_zc(struct io_uring *ring, int from, int to, unsigned flags,
			 struct uring_send *ret)
{
	uint64_t now = sys_clock_ns(), until_ns = now + PROBE_WAIT_NS;
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe cqe;
	bool sent = false, more = true;
	int r;

	io_uring_prep_send_zc(sqe, from, uring_payload, sizeof(uring_payload), MSG_NOSIGNAL, 0);
	sqe->ioprio = (unsigned short)flags;
	r = sys_uring_submit(ring);
	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	for (; more && now < until_ns; now = sys_clock_ns()) {
		if (to >= 0)
			probe_drain(to);
		r = uring_next(ring, &cqe, now + PROBE_TICK_MS * 1000000ull);
		if (r == -ETIME)
			continue;
		if (r < 0)
			return r;
		if (cqe.flags & IORING_CQE_F_NOTIF) {
			ret->notified = true;
			ret->usage = (uint32_t)cqe.res;
			more = !sent;
		} else {
			ret->res = sys_fault_result("uring_send_zc", cqe.res);
			sent = true;
			more = (cqe.flags & IORING_CQE_F_MORE) && !ret->notified;
		}
	}
	return more ? -ETIME : 0;
}

/*
 * Try one send with these flags.  Without loopback: on a socket without a peer,
 * which tells EPIPE (accepted, nobody there) from EINVAL (flags not known) and
 * EOPNOTSUPP.  true: *ret holds a send that worked, with a notification.
 */
static bool uring_try_send(struct probe *p, const char *what, unsigned flags,
			   struct uring_send *ret)
{
	_cleanup_close_ int from = -1, to = -1;
	struct io_uring ring;
	struct err no_pair;
	int fds[2], r;

	r = probe_tcp_pair(fds, &no_pair);
	if (r == 0) {
		from = fds[0];
		to = fds[1];
	} else {
		from = sys_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (from < 0) {
		probe_untried(p, from, "socket");
		return false;
	}
	if (uring_open(p, &ring) < 0)
		return false;
	r = uring_send_zc(&ring, from, to, flags, ret);
	sys_uring_exit(&ring);
	if (r == -ETIME)
		probe_no(p, "%s: no notification came in %u ms", what,
			 (unsigned)(PROBE_WAIT_NS / 1000000));
	else if (r < 0)
		probe_untried(p, r, "%s", what);
	else if (to < 0 && (ret->res == -EPIPE || ret->res == -ENOTCONN))
		probe_yes(p, 0, "%s was accepted; not tried further: %s", what, no_pair.text);
	else if (ret->res < 0)
		probe_refused(p, ret->res, "%s", what);
	else if (!ret->notified)
		probe_no(p, "%s: sent, and the kernel promised no notification", what);
	else
		return true;
	return false;
}

void probe_send_zc(struct caps *c, struct probe *p)
{
	struct uring_send sent;

	(void)c;
	if (uring_try_send(p, "SEND_ZC over loopback", 0, &sent))
		probe_yes(p, 0, "SEND_ZC over loopback: the notification came");
}

void probe_send_zc_report(struct caps *c, struct probe *p)
{
	struct uring_send sent;

	(void)c;
	if (!uring_try_send(p, "SEND_ZC with REPORT_USAGE", IORING_SEND_ZC_REPORT_USAGE, &sent))
		return;
	/* Loopback copies when it hands over; a kernel that says so tells the truth. */
	if (sent.usage & IORING_NOTIF_USAGE_ZC_COPIED)
		probe_yes(p, 0, "SEND_ZC over loopback reported: copied, as is usual there");
	else
		probe_yes(p, 0, "SEND_ZC over loopback reported: not copied");
}
