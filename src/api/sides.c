/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/sides.h"
#include "plan/residency.h"
#include "sys/sys.h"

/* More than so many thousandths still in memory is not cold. */
#define SIDES_COLD_PERMILLE 950

/* Bytes that no file system compresses or takes for a hole. */
static void sides_fill(unsigned char *memory)
{
	uint64_t *word = (uint64_t *)memory, x = 88172645463325252u;
	size_t i;

	for (i = 0; i < SIDES_BYTES / sizeof(*word); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		word[i] = x;
	}
}

static int sides_named(const char *dir, char ret_path[COST_PATH_MAX])
{
	static atomic_uint count;
	int fd = -ENAMETOOLONG;

	if (snprintf(ret_path, COST_PATH_MAX, "%s/decant-calibrate-%d-%u", dir, (int)getpid(),
		     atomic_fetch_add(&count, 1)) < COST_PATH_MAX)
		fd = sys_open(ret_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		ret_path[0] = 0;
	return fd;
}

/* A file without a name; where the file system cannot, one that loses it. */
static int sides_scratch(const char *dir)
{
	char path[COST_PATH_MAX];
	int fd;

	fd = sys_open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd != -EOPNOTSUPP && fd != -EISDIR && fd != -EINVAL)
		return fd;
	fd = sides_named(dir, path);
	if (fd >= 0)
		(void)sys_unlink(path);
	return fd;
}

static int sides_source_file(struct sides *p)
{
	uint64_t at;
	ssize_t n;

	/* With a name: mappings of files that have none are not kept. */
	p->from_fd = sides_named(p->dir, p->path);
	if (p->from_fd < 0)
		return p->from_fd;
	for (at = 0; at < SIDES_BYTES; at += (uint64_t)n) {
		n = sys_pwrite(p->from_fd, p->memory + at, SIDES_BYTES - at, at);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
	}
	/* On the disk, so that it can be thrown out of the cache at any time. */
	return sys_fsync(p->from_fd);
}

static int sides_tcp(int ret[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	_cleanup_close_ int listener = -1;
	socklen_t len = sizeof(addr);
	int r;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = sys_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		return listener;
	r = sys_bind(listener, (struct sockaddr *)&addr, sizeof(addr));
	if (r == 0)
		r = sys_listen(listener, 1);
	if (r == 0)
		r = sys_getsockname(listener, (struct sockaddr *)&addr, &len);
	if (r < 0)
		return r;
	ret[0] = sys_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ret[0] < 0)
		return ret[0];
	r = sys_connect(ret[0], (struct sockaddr *)&addr, sizeof(addr));
	if (r == 0)
		r = sys_accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (r < 0) {
		(void)sys_close(ret[0]);
		return r;
	}
	ret[1] = r;
	return 0;
}

/* A stream: ours does not block; the other side goes to a thread. */
static int sides_stream(struct sides *p, bool source, bool pipe, bool local)
{
	int fds[2], r, *ours = source ? &p->from_fd : &p->to_fd, other;

	if (pipe)
		r = sys_pipe2(fds, O_CLOEXEC);
	else if (local)
		r = sys_socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	else
		r = sides_tcp(fds);
	if (r < 0)
		return r;
	*ours = fds[source ? 0 : 1];
	other = fds[source ? 1 : 0];
	if (source)
		r = peer_create(&p->feeder, other, PEER_GIVES);
	else
		/* Of a TCP peer, which may be far away, only our own side counts. */
		r = peer_create(&p->drainer, other, pipe || local ? PEER_TAKES : PEER_DROPS);
	if (r < 0)
		return r;
	return sys_setfl(*ours, O_NONBLOCK | (pipe && !source ? O_WRONLY : 0));
}

static int sides_open_source(struct sides *p)
{
	switch (p->from) {
	case COST_FROM_FILE:
		return sides_source_file(p);
	case COST_FROM_PIPE:
		return sides_stream(p, true, true, false);
	case COST_FROM_SOCKET:
		return sides_stream(p, true, false, false);
	default:
		return 0;
	}
}

static int sides_open_sink(struct sides *p)
{
	switch (p->to) {
	case COST_TO_TCP_LOCAL:
		return sides_stream(p, false, false, false);
	case COST_TO_UNIX:
		return sides_stream(p, false, false, true);
	case COST_TO_PIPE:
		return sides_stream(p, false, true, false);
	case COST_TO_FILE:
		p->to_fd = sides_scratch(p->dir);
		return p->to_fd < 0 ? p->to_fd : 0;
	default:
		return 0;
	}
}

int sides_open(struct sides *ret, enum cost_from from, enum cost_to to, const char *dir)
{
	struct sides p = { .from = from, .to = to, .dir = dir, .from_fd = -1, .to_fd = -1 };
	int r = -ENOMEM;

	p.memory = sys_aligned_alloc(4096, SIDES_BYTES);
	p.room = sys_aligned_alloc(4096, SIDES_BYTES);
	if (p.memory && p.room) {
		sides_fill(p.memory);
		memset(p.room, 0, SIDES_BYTES); /* no page faults while we measure */
		r = sides_open_source(&p);
	}
	if (r == 0)
		r = sides_open_sink(&p);
	if (r < 0) {
		sides_close(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void sides_close(struct sides *p)
{
	/* Ours first: then the threads see the end and leave. */
	(void)sys_close(p->from_fd);
	(void)sys_close(p->to_fd);
	p->from_fd = p->to_fd = -1;
	if (p->path[0])
		(void)sys_unlink(p->path);
	p->path[0] = 0;
	peer_destroy(p->feeder);
	peer_destroy(p->drainer);
	p->feeder = p->drainer = NULL;
	free(p->memory);
	free(p->room);
	p->memory = p->room = NULL;
}

struct decant_end sides_source(const struct sides *p, uint64_t at)
{
	switch (p->from) {
	case COST_FROM_FILE:
		return decant_file(p->from_fd, at);
	case COST_FROM_PIPE:
		return decant_pipe(p->from_fd);
	case COST_FROM_SOCKET:
		return decant_socket(p->from_fd);
	case COST_FROM_PROCESS:
		return decant_process(getpid(), (uintptr_t)p->memory + at);
	case COST_FROM_MEMORY:
		return decant_memory(p->memory + at, SIDES_BYTES - at);
	default:
		return decant_zero();
	}
}

struct decant_end sides_sink(const struct sides *p, uint64_t at)
{
	switch (p->to) {
	case COST_TO_FILE:
		return decant_file(p->to_fd, at);
	case COST_TO_PIPE:
		return decant_pipe(p->to_fd);
	case COST_TO_MEMORY:
		return decant_memory(p->room + at, SIDES_BYTES - at);
	case COST_TO_NULL:
		return decant_null();
	default:
		return decant_socket(p->to_fd);
	}
}

void sides_begin(struct sides *p, uint64_t len)
{
	/* As a copy to a new file; and what was written never gets to the disk. */
	if (p->to == COST_TO_FILE)
		(void)sys_ftruncate(p->to_fd, 0);
	if (p->feeder)
		peer_ask(p->feeder, len);
	if (p->drainer)
		peer_ask(p->drainer, len);
}

int sides_finish(struct sides *p)
{
	int r = p->feeder ? peer_wait(p->feeder) : 0;
	int r2 = p->drainer ? peer_wait(p->drainer) : 0;

	return r < 0 ? r : r2;
}

uint64_t sides_cpu_ns(const struct sides *p)
{
	uint64_t peers = 0, all;

	peers += p->feeder ? peer_cpu_ns(p->feeder) : 0;
	peers += p->drainer ? peer_cpu_ns(p->drainer) : 0;
	all = sys_process_cpu_ns();
	return all > peers ? all - peers : 0;
}

bool sides_make_cold(struct sides *p)
{
	return p->from == COST_FROM_FILE &&
	       sys_posix_fadvise(p->from_fd, 0, SIDES_BYTES, POSIX_FADV_DONTNEED) == 0 &&
	       residency_cold_permille(p->from_fd, 0, SIDES_BYTES) > SIDES_COLD_PERMILLE;
}
