/* SPDX-License-Identifier: MIT */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "keeper_serve.h"

/* When the process began: its number may be another's by now. */
static int keeper_began(pid_t pid, unsigned long long *ret)
{
	char path[64], text[1024];
	const char *at;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
			  "%*d %*d %*d %*d %llu", ret) != 1)
		return -ESRCH;
	return 0;
}

/* Abstract: nothing is left when it is killed. */
static int keeper_name(pid_t pid, struct sockaddr_un *ret, socklen_t *ret_len)
{
	unsigned long long began = 0;
	int n, r = keeper_began(pid, &began);

	if (r < 0)
		return r;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "decant-predump-%u-%d-%llu",
		     (unsigned)geteuid(), (int)pid, began);
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	return 0;
}

bool keeper_is_ours(int fd)
{
	struct ucred u;
	socklen_t len = sizeof(u);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) == 0 &&
	       (u.uid == geteuid() || u.uid == 0);
}

int keeper_find(pid_t pid, struct err *reterr)
{
	struct sockaddr_un name;
	socklen_t len;
	int fd, r = keeper_name(pid, &name, &len);

	if (r < 0)
		return err_errno(reterr, r, "PID %d", (int)pid);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(reterr, -errno, "watch: a socket");
	if (connect(fd, (struct sockaddr *)&name, len) < 0) {
		r = errno == ECONNREFUSED ? -ENOENT : -errno;
		(void)close(fd);
		return err_set(reterr, r, "PID %d: nobody watches it", (int)pid);
	}
	if (!keeper_is_ours(fd)) {
		(void)close(fd);
		return err_set(reterr, -EPERM, "PID %d: another user has the name of its watcher",
			       (int)pid);
	}
	return fd;
}

static int keeper_listen(pid_t pid, struct err *e)
{
	struct sockaddr_un name;
	socklen_t len;
	int fd, r = keeper_name(pid, &name, &len);

	if (r < 0)
		return err_errno(e, r, "PID %d", (int)pid);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(e, -errno, "watch: a socket");
	if (bind(fd, (struct sockaddr *)&name, len) < 0 || listen(fd, 4) < 0) {
		r = errno == EADDRINUSE ? -EBUSY : -errno;
		(void)close(fd);
		return r == -EBUSY ? err_set(e, r, "PID %d: is watched already", (int)pid) :
				     err_errno(e, r, "PID %d: watching it", (int)pid);
	}
	return fd;
}

/* Of the terminal and the directory that we were started in nothing stays; a and b do. */
static void keeper_leave(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);
	int fd = open("/dev/null", O_RDWR);
	sigset_t none;

	(void)setsid();
	if (chdir("/") < 0 || fd < 0)
		_exit(1);
	for (int i = 0; i < 3; i++)
		(void)dup2(fd, i);
	/* Pipes and locks of the caller must not live as long as we do. */
	if (low > 3)
		(void)close_range(3, low - 1, 0);
	if (high > low + 1)
		(void)close_range(low + 1, high - 1, 0);
	(void)close_range(high + 1, UINT_MAX, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

int keeper_start(const struct predump_options *o, int *ret, struct err *reterr)
{
	int pair[2], fd = keeper_listen(o->pid, reterr);
	pid_t pid;

	if (fd < 0)
		return fd;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		(void)close(fd);
		return err_errno(reterr, -errno, "watch: a socket");
	}
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		keeper_leave(fd, pair[1]);
		keeper_serve(o, fd, pair[1]);
	}
	(void)close(fd);
	(void)close(pair[1]);
	if (pid < 0) {
		(void)close(pair[0]);
		return err_errno(reterr, -errno, "watch: a process");
	}
	*ret = pair[0];
	return 0;
}

int keeper_send(int fd, const struct keeper_ask *ask, struct err *reterr)
{
	if (send(fd, ask, sizeof(*ask), MSG_NOSIGNAL) != (ssize_t)sizeof(*ask))
		return err_errno(reterr, -errno, "watch: asking");
	return 0;
}

int keeper_answer(int fd, struct keeper_answer *ret, struct err *reterr)
{
	ssize_t n;

	do
		n = recv(fd, ret, sizeof(*ret), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(*ret) || ret->magic != KEEPER_MAGIC)
		return err_set(reterr, -EPIPE, n > 0 ? "watch: by another version of decant" :
			       "watch: it has ended without an answer");
	ret->report.message[sizeof(ret->report.message) - 1] = '\0';
	return 0;
}

int keeper_path(char *ret, size_t size, const char *dir)
{
	char cwd[PATH_MAX];
	int n;

	if (dir[0] == '/')
		n = snprintf(ret, size, "%s", dir);
	else if (!getcwd(cwd, sizeof(cwd)))
		return -errno;
	else
		n = snprintf(ret, size, "%s/%s", cwd, dir);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}
