/* SPDX-License-Identifier: MIT */
/*
 * MSG_ZEROCOPY: its switch on the socket and its notifications.
 *
 * The kernel numbers the zero-copy sends of a socket, in 32 bits, from the
 * first that it ever saw, and a notification carries a range of numbers.  We
 * are not told where the count stands, so numbers are not compared: the length
 * of a range (which wraps rightly) says how many of our sends are over, and
 * they are taken off in the order in which they were sent.  What counts is
 * that SNAPSHOTTED waits for all; memory that is unmapped a moment before its
 * own notification, where two changed places, is kept by the kernel's pages.
 *
 * That works only while all notifications are ours.  So a socket on which
 * somebody else reads the error queue (SO_ZEROCOPY, timestamps or IP_RECVERR
 * are on) is sent to plainly; and when a transfer ends with notifications
 * outstanding, SO_ZEROCOPY stays on, as a sign to the next transfer.
 */
#include <errno.h>
#include <time.h> /* before errqueue.h, which uses it */
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "route/zerocopy.h"
#include "sys/sys.h"

/* Notifications that are taken in one step; more come in the next. */
#define ZEROCOPY_MSG_LOOKS_MAX 64
/* POLLERR that has nothing to do with us must not make a busy loop. */
#define ZEROCOPY_MSG_IDLE_MAX 4
#define ZEROCOPY_MSG_IDLE_NS 1000000

static bool zerocopy_msg_option(int fd, int level, int name)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return sys_getsockopt(fd, level, name, &on, &len) == 0 && on;
}

void zerocopy_msg_init(struct zerocopy *z)
{
	int fd = z->job->to.io_fd, on = 1;

	z->ours = !zerocopy_msg_option(fd, SOL_SOCKET, SO_ZEROCOPY) &&
		  !zerocopy_msg_option(fd, SOL_SOCKET, SO_TIMESTAMPING) &&
		  !zerocopy_msg_option(fd, IPPROTO_IP, IP_RECVERR) &&
		  !zerocopy_msg_option(fd, IPPROTO_IPV6, IPV6_RECVERR) &&
		  sys_setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) == 0;
	z->plain = !z->ours;
}

void zerocopy_msg_deinit(struct zerocopy *z)
{
	int off = 0;

	/* The engine sees a ring's notifications; of these only we know. */
	if (!zerocopy_idle(z))
		z->job->pages_held = true;
	if (z->ours && zerocopy_idle(z))
		(void)sys_setsockopt(z->job->to.io_fd, SOL_SOCKET, SO_ZEROCOPY, &off, sizeof(off));
}

static const struct sock_extended_err *zerocopy_msg_error(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if ((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
		    (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR))
			return (const struct sock_extended_err *)CMSG_DATA(c);
	return NULL;
}

int zerocopy_msg_range(struct zerocopy *z, const struct sock_extended_err *e)
{
	uint32_t n = e->ee_data - e->ee_info + 1;

	/* All 2^32 of them (0), or more than we sent. */
	if (n == 0 || n > z->sends_n)
		return job_fail(z->job, -EPROTO, "MSG_ZEROCOPY: %u notifications for %u sends: "
				"somebody else sends on this socket too", n, z->sends_n);
	while (n--)
		zerocopy_released(z, zerocopy_oldest(z), e->ee_code & SO_EE_CODE_ZEROCOPY_COPIED);
	z->idle_looks = 0;
	return 0;
}

int zerocopy_msg_reap(struct zerocopy *z)
{
	union {
		char data[512];
		struct cmsghdr align;
	} control;

	for (unsigned i = 0; i < ZEROCOPY_MSG_LOOKS_MAX && z->sends_n > 0; i++) {
		struct msghdr msg = { .msg_control = control.data,
				      .msg_controllen = sizeof(control.data) };
		ssize_t n = sys_recvmsg(z->job->to.io_fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);
		const struct sock_extended_err *e;

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return job_fail(z->job, (int)n, "MSG_ZEROCOPY: its notifications: %s",
					strerror((int)-n));
		e = zerocopy_msg_error(&msg);
		if (e && e->ee_origin == SO_EE_ORIGIN_ZEROCOPY && e->ee_errno == 0) {
			int r = zerocopy_msg_range(z, e);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int zerocopy_msg_wait(struct zerocopy *z)
{
	struct job *j = z->job;
	int err = 0;
	socklen_t len = sizeof(err);

	if (z->idle_looks++ < ZEROCOPY_MSG_IDLE_MAX) {
		job_wait_fd(j, j->to.io_fd, POLLERR);
		return STEP_WAIT;
	}
	if (sys_getsockopt(j->to.io_fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err)
		return job_fail_sink(j, -err);
	job_wait_ns(j, ZEROCOPY_MSG_IDLE_NS);
	return STEP_WAIT;
}
