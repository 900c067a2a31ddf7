/* SPDX-License-Identifier: MIT */
/*
 * Programs that want their supervisor to do what they cannot do themselves.
 *	program-attack swap FIFO FILE MS    a descriptor that is the FIFO when it is looked at
 *		and FILE, open for reading only, a moment later; as user 65534 if it was root
 *	program-attack scribble MS          nonsense in the memory that preload shares
 *	program-attack block                fills a pipe, and tells how the last call ended
 *	program-attack ping                 makes a vmsplice each 10 ms and prints what it got
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int attack_fifo, attack_file, attack_fd;

static uint64_t attack_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void *attack_swap(void *arg)
{
	(void)arg;
	for (;;) {
		dup2(attack_fifo, attack_fd);
		dup2(attack_file, attack_fd);
	}
	return NULL;
}

static void *attack_drain(void *arg)
{
	static char buf[65536];

	(void)arg;
	for (;;)
		if (read(attack_fifo, buf, sizeof(buf)) <= 0)
			usleep(1000);
	return NULL;
}

static int swap(const char *fifo, const char *file, uint64_t ms)
{
	static char text[64] = "written by the supervisor";
	struct iovec iov = { text, sizeof(text) };
	uint64_t until = attack_ms() + ms;
	unsigned long done = 0, failed = 0;
	pthread_t thread;

	attack_fifo = open(fifo, O_RDWR | O_NONBLOCK);
	if (getuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
		return 1;
	attack_file = open(file, O_RDONLY);
	if (attack_fifo < 0 || attack_file < 0)
		return 1;
	attack_fd = dup(attack_fifo);
	if (pthread_create(&thread, NULL, attack_swap, NULL) ||
	    pthread_create(&thread, NULL, attack_drain, NULL))
		return 1;
	while (attack_ms() < until)
		if (vmsplice(attack_fd, &iov, 1, SPLICE_F_NONBLOCK | SPLICE_F_MORE) > 0)
			done++;
		else
			failed++;
	printf("%lu %lu\n", done, failed);
	fflush(stdout);
	_exit(0);
}

/* A child is left behind that goes on while the report is made. */
static int scribble(uint64_t ms)
{
	const char *path = getenv("DECANT_SHIM");
	int fd = path ? open(path, O_RDWR) : -1;
	uint64_t until = attack_ms() + ms, x = 88172645463325252u;
	struct stat st;
	uint64_t *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 1;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 1;
	memset(p, 0xff, (size_t)st.st_size);
	if (fork() > 0) {
		usleep(50000);
		return 0;
	}
	while (attack_ms() < until)
		for (int i = 0; i < 1000; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			/* Everything counts as ready; numbers are small or huge. */
			p[x % ((size_t)st.st_size / 8)] = x & 1 ? UINT64_MAX : (x >> 32) % 16;
		}
	return 0;
}

static int ping(void)
{
	static char text[64], got[64];
	struct iovec iov = { text, sizeof(text) };
	int fds[2];

	if (pipe(fds) < 0)
		return 1;
	printf("pid %d\n", (int)getpid());
	fflush(stdout);
	for (int i = 0; i < 1000; i++) {
		ssize_t n;

		memcpy(text, "old", 4);
		n = vmsplice(fds[1], &iov, 1, 0);
		if (n < 0) {
			printf("%s\n", strerrorname_np(errno));
		} else {
			memcpy(text, "new", 4);
			printf("%s\n", read(fds[0], got, sizeof(got)) > 0 ? got : "nothing");
		}
		fflush(stdout);
		usleep(10000);
	}
	return 0;
}

static int block(void)
{
	static char buf[65536];
	struct iovec iov = { buf, sizeof(buf) };
	int fds[2];

	if (pipe(fds) < 0 || vmsplice(fds[1], &iov, 1, 0) <= 0)
		return 1;
	printf("pid %d\n", (int)getpid());
	fflush(stdout);
	printf("%s\n", vmsplice(fds[1], &iov, 1, 0) < 0 ? strerrorname_np(errno) : "done");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "block") == 0)
		return block();
	if (argc == 5 && strcmp(argv[1], "swap") == 0)
		return swap(argv[2], argv[3], strtoul(argv[4], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "scribble") == 0)
		return scribble(strtoul(argv[2], NULL, 10));
	if (argc == 2 && strcmp(argv[1], "ping") == 0)
		return ping();
	return 2;
}
