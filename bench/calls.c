/* SPDX-License-Identifier: MIT */
/*
 * Times one call, for bench/run.py: calls vmsplice|pwritev2|splice|copy|getppid BYTES.
 * Prints nanoseconds per round, the best of many batches.  A round of the first
 * three puts BYTES into a pipe and reads them out again; copy is the copy between
 * two processes that a supervisor makes, process_vm_readv().
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CALLS_BATCHES 40
#define CALLS_PIPE (1 << 20)

static uint64_t calls_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct calls {
	const char *what;
	size_t len;
	int fds[2], file;
	char *from, *to;
};

static ssize_t calls_put(const struct calls *c)
{
	struct iovec iov = { c->from, c->len };
	off_t zero = 0;

	if (strcmp(c->what, "vmsplice") == 0)
		return vmsplice(c->fds[1], &iov, 1, 0);
	if (strcmp(c->what, "splice") == 0)
		return splice(c->file, &zero, c->fds[1], NULL, c->len, 0);
	return pwritev2(c->fds[1], &iov, 1, -1, 0);
}

static void calls_round(const struct calls *c)
{
	ssize_t n, left;

	if (strcmp(c->what, "getppid") == 0) {
		(void)syscall(SYS_getppid);
		return;
	}
	if (strcmp(c->what, "copy") == 0) {
		struct iovec to = { c->to, c->len }, from = { c->from, c->len };

		if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) <= 0)
			exit(1);
		return;
	}
	left = calls_put(c);
	if (left <= 0)
		exit(1);
	for (; left > 0; left -= n) {
		n = read(c->fds[0], c->to, c->len);
		if (n <= 0)
			exit(1);
	}
}

int main(int argc, char **argv)
{
	struct calls c = { .what = argc > 2 ? argv[1] : "" };
	uint64_t best = UINT64_MAX;
	int rounds = strcmp(c.what, "getppid") == 0 ? 20000 : 50;

	if (argc < 3)
		return 2;
	c.len = strtoul(argv[2], NULL, 10);
	c.from = aligned_alloc(4096, (c.len + 4095) & ~(size_t)4095);
	c.to = aligned_alloc(4096, (c.len + 4095) & ~(size_t)4095);
	c.file = memfd_create("calls", MFD_CLOEXEC);
	if (!c.from || !c.to || pipe(c.fds) < 0)
		return 1;
	(void)fcntl(c.fds[1], F_SETPIPE_SZ, CALLS_PIPE);
	memset(c.from, 1, c.len);
	memset(c.to, 2, c.len);
	if (write(c.file, c.from, c.len) != (ssize_t)c.len)
		return 1;
	for (int batch = 0; batch < CALLS_BATCHES; batch++) {
		uint64_t took = calls_now_ns();

		for (int i = 0; i < rounds; i++)
			calls_round(&c);
		took = calls_now_ns() - took;
		if (took < best)
			best = took;
	}
	printf("%.1f\n", (double)best / rounds);
	return 0;
}
