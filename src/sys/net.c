/* SPDX-License-Identifier: MIT */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "sys/sys.h"
#include "sys/wrap.h"

int sys_socket(int domain, int type, int protocol)
{
	return WRAP_RETRY("socket", socket(domain, type, protocol));
}

int sys_socketpair(int domain, int type, int protocol, int ret_fds[2])
{
	return WRAP_RETRY("socketpair", socketpair(domain, type, protocol, ret_fds));
}

int sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return WRAP_RETRY("bind", bind(fd, addr, len));
}

int sys_listen(int fd, int backlog)
{
	return WRAP_RETRY("listen", listen(fd, backlog));
}

int sys_shutdown(int fd, int how)
{
	return WRAP_RETRY("shutdown", shutdown(fd, how));
}

int sys_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return WRAP_RETRY("getsockname", getsockname(fd, addr, len));
}

int sys_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return WRAP_RETRY("getpeername", getpeername(fd, addr, len));
}

int sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return WRAP_RETRY("getsockopt", getsockopt(fd, level, name, val, len));
}

int sys_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return WRAP_RETRY("setsockopt", setsockopt(fd, level, name, val, len));
}

ssize_t sys_send(int fd, const void *buf, size_t len, int flags)
{
	len = sys_fault_len("send", len);
	return WRAP_RETRY("send", send(fd, buf, len, flags));
}

ssize_t sys_recv(int fd, void *buf, size_t len, int flags)
{
	len = sys_fault_len("recv", len);
	return WRAP_RETRY("recv", recv(fd, buf, len, flags));
}

ssize_t sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct msghdr m = *msg;
	struct wrap_iov w;

	wrap_iov_init(&w, "sendmsg", msg->msg_iov, msg->msg_iovlen);
	m.msg_iov = (struct iovec *)w.iov;
	m.msg_iovlen = w.n;
	return WRAP_RETRY("sendmsg", sendmsg(fd, &m, flags));
}

/* Not shortened: what a datagram or an error-queue entry loses is lost. */
ssize_t sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return WRAP_RETRY("recvmsg", recvmsg(fd, msg, flags));
}

int sys_siocoutq(int fd, int *ret)
{
	return WRAP_RETRY("siocoutq", ioctl(fd, SIOCOUTQ, ret));
}

int sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return WRAP_ONCE("connect", connect(fd, addr, len));
}

int sys_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return WRAP_ONCE("accept4", accept4(fd, addr, len, flags));
}
