/* SPDX-License-Identifier: MIT */
/*
 * MSG_ZEROCOPY for a stream that is ours alone: the kernel sends from our
 * buffer, and says in the socket's error queue when it has let go of it.  It
 * tells of sends in the order in which they were made.  A kernel that copies
 * all the same (loopback does) is not asked again.
 */
#include <errno.h>
#include <time.h> /* before errqueue.h, which uses it */
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "sys/sys.h"
#include "wire/client.h"

#define ZC_QUEUE (sizeof(((struct client *)0)->zc_queue) / sizeof(struct client_buffer *))
#define ZC_COPIED_MAX 2
#define ZC_SEND_MAX (512u << 10)

static void zc_errors(void *arg)
{
	client_zc_reap(arg);
}

void client_zc_begin(struct client *c)
{
	int on = 1;

	c->zc_first = c->zc_n = c->zc_copied = 0;
	c->zc = !c->tls && caps_has(c->d->caps, FACT_MSG_ZEROCOPY) &&
		sys_setsockopt(c->channel.fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) == 0;
	c->channel.on_error = c->zc ? zc_errors : NULL;
	c->channel.on_error_arg = c;
}

static void zc_over(struct client *c, const struct sock_extended_err *e)
{
	uint32_t n = e->ee_data - e->ee_info + 1;

	if (e->ee_origin != SO_EE_ORIGIN_ZEROCOPY || e->ee_errno)
		return;
	for (; n && c->zc_n; n--) {
		c->zc_queue[c->zc_first]->held--;
		c->zc_first = (c->zc_first + 1) % ZC_QUEUE;
		c->zc_n--;
	}
	c->zc_copied = e->ee_code & SO_EE_CODE_ZEROCOPY_COPIED ? c->zc_copied + 1 : 0;
	if (c->zc_copied >= ZC_COPIED_MAX)
		c->zc = false;
}

void client_zc_reap(struct client *c)
{
	union {
		char data[512];
		struct cmsghdr align;
	} control;

	for (;;) {
		struct msghdr m = { .msg_control = control.data,
				    .msg_controllen = sizeof(control.data) };

		if (sys_recvmsg(c->channel.fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return;
		for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
			if ((h->cmsg_level == SOL_IP && h->cmsg_type == IP_RECVERR) ||
			    (h->cmsg_level == SOL_IPV6 && h->cmsg_type == IPV6_RECVERR))
				zc_over(c, (const struct sock_extended_err *)CMSG_DATA(h));
	}
}

int client_zc_wait(struct client *c, struct err *reterr)
{
	uint64_t now = sys_clock_ns(), until = now + c->channel.patience_ns;
	unsigned before = c->zc_n;
	int error = 0;
	socklen_t len = sizeof(error);

	for (client_zc_reap(c); c->zc_n == before; client_zc_reap(c)) {
		struct pollfd f = { .fd = c->channel.fd };

		now = sys_clock_ns();
		if (now >= until || (c->channel.deadline_ns && now >= c->channel.deadline_ns))
			return err_set(reterr, -ETIMEDOUT, "page server: takes nothing any more");
		/* POLLERR may stand for an error of the connection, which is told once. */
		if (sys_poll(&f, 1, 100) > 0 &&
		    sys_getsockopt(c->channel.fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error)
			return err_errno(reterr, -error, "page server");
	}
	return 0;
}

int client_zc_send(struct client *c, struct client_buffer *b, void *data, uint64_t len,
		   struct err *reterr)
{
	struct iovec iov;
	int r = 0;

	while (len && r >= 0) {
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

		iov = (struct iovec){ data, len < ZC_SEND_MAX ? (size_t)len : ZC_SEND_MAX };
		client_zc_reap(c);
		if (c->zc && c->zc_n == ZC_QUEUE && (r = client_zc_wait(c, reterr)) < 0)
			return r;
		r = c->zc ? (int)sys_sendmsg(c->channel.fd, &m, MSG_ZEROCOPY | MSG_DONTWAIT |
					     MSG_NOSIGNAL) : -ENOBUFS;
		if (r < 0) {
			/* No room, no memory to lock, or broken: the plain way waits, or tells. */
			if (iov.iov_len > 64u << 10)
				iov.iov_len = 64u << 10;
			r = (int)iov.iov_len;
			if (channel_write(&c->channel, &iov, 1, 0, reterr) < 0)
				return -EIO;
		} else if (r > 0) {
			c->channel.out_bytes += (uint64_t)r;
			c->zc_queue[(c->zc_first + c->zc_n++) % ZC_QUEUE] = b;
			b->held++;
		}
		data = (char *)data + r;
		len -= (uint64_t)r;
	}
	return r < 0 ? r : 0;
}

void client_zc_end(struct client *c)
{
	for (unsigned i = 0; i < CLIENT_BUFFERS; i++)
		c->buffers[i].held = 0;
	c->zc_n = 0;
	c->channel.on_error = NULL;
}
