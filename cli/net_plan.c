/* SPDX-License-Identifier: MIT */
/* Sockets that stand in for a peer while a transfer is only planned. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "net.h"

int net_tcp_pair(int ret[2], struct err *reterr)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	_cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_close_ int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);
	int other;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || one < 0 ||
	    bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) < 0 ||
	    connect(one, (struct sockaddr *)&addr, len) < 0)
		return err_errno(reterr, -errno, "a loopback connection to plan with");
	other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	/* As the sockets are that a copy makes: some routes want it so. */
	if (other < 0 || fcntl(one, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(reterr, -errno, "a loopback connection to plan with");
	ret[0] = take_fd(&one);
	ret[1] = other;
	return 0;
}

static bool net_same_address(const struct sockaddr *sa, int family, const void *address)
{
	if (!sa || sa->sa_family != family)
		return false;
	if (family == AF_INET)
		return memcmp(&((const struct sockaddr_in *)sa)->sin_addr, address, 4) == 0;
	return memcmp(&((const struct sockaddr_in6 *)sa)->sin6_addr, address, 16) == 0;
}

static bool net_is_own(int family, const void *address)
{
	struct ifaddrs *list;
	bool own = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (const struct ifaddrs *i = list; i && !own; i = i->ifa_next)
		own = net_same_address(i->ifa_addr, family, address);
	freeifaddrs(list);
	return own;
}

enum net_locality net_locality(const char *host)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (host[0] == '\0' || strcmp(host, "localhost") == 0)
		return NET_LOCAL;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127 || net_is_own(AF_INET, &v4) ? NET_LOCAL :
										      NET_REMOTE;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6) || net_is_own(AF_INET6, &v6) ? NET_LOCAL :
										 NET_REMOTE;
	/* Asking the name server would be a transfer of its own. */
	return NET_ASSUMED_REMOTE;
}
