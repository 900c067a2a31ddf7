/* SPDX-License-Identifier: MIT */
/* Sources and sinks of a case: files, hot or cold, and what the receiver holds. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "hold.h"
#include "peer.h"

static char ends_disk[200], ends_shm[64];

static void ends_remove(void)
{
	(void)rmdir(ends_disk);
	(void)rmdir(ends_shm);
}

/* Interrupted: gigabytes are not left behind. */
static void ends_remove_all(int signal)
{
	(void)signal;
	execlp("rm", "rm", "-rf", ends_disk, ends_shm, (char *)NULL);
	_exit(1);
}

void ends_start(const char *disk_dir)
{
	const char *tmp = getenv("TMPDIR");

	if (!disk_dir)
		disk_dir = tmp ? tmp : "/var/tmp";
	snprintf(ends_disk, sizeof(ends_disk), "%s/decant-bench-XXXXXX", disk_dir);
	snprintf(ends_shm, sizeof(ends_shm), "/dev/shm/decant-bench-XXXXXX");
	if (!mkdtemp(ends_disk))
		bench_die("%s: %s", ends_disk, strerror(errno));
	if (!mkdtemp(ends_shm))
		bench_die("%s: %s", ends_shm, strerror(errno));
	atexit(ends_remove);
	(void)signal(SIGINT, ends_remove_all);
	(void)signal(SIGTERM, ends_remove_all);
	hold_on_signal();
	peer_start();
}

void ends_stop(void)
{
	peer_stop();
}

/* What one sample fills of the page cache. */
static uint64_t ends_cache_bytes(const struct bench_case *c)
{
	uint64_t bytes = case_transfers(c) * c->piece;

	if (c->to == SINK_FILE)
		return c->from_memory ? bytes : 2 * bytes;
	return c->cold ? bytes : 0;
}

/* ---------------------------------------------------------------- sources */

static uint64_t ends_file_size(const struct bench_case *c)
{
	return c->split ? c->piece * c->at_once : c->piece;
}

/*
 * Written, and read back from the disk: page cache that read-ahead has filled
 * consists of larger pieces than one that was written, and files that are sent
 * were mostly written long ago.
 */
static void ends_file_make(int fd, uint64_t size)
{
	static unsigned char block[MIB];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (unsigned char)(i * 131 + (i >> 12));
	for (uint64_t at = 0; at < size;) {
		uint64_t n = size - at < sizeof(block) ? size - at : sizeof(block);
		ssize_t done = pwrite(fd, block, n, (off_t)at);

		if (done <= 0)
			bench_die("writing the source: %s", strerror(errno));
		at += (uint64_t)done;
	}
	if (fsync(fd) != 0)
		bench_die("fsync of the source: %s", strerror(errno));
}

/* Pages of the file that are in the page cache. */
static uint64_t ends_cached(int fd, uint64_t size)
{
	static unsigned char pages[GIB / 4096];
	uint64_t n = (size + 4095) / 4096, cached = 0;
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED || n > sizeof(pages) || mincore(map, size, pages) != 0)
		bench_die("mincore: %s", strerror(errno));
	for (uint64_t i = 0; i < n; i++)
		cached += pages[i] & 1;
	munmap(map, size);
	return cached;
}

/* Pages that somebody still has mapped cannot be evicted: try until they are gone. */
static void ends_evict(int fd, uint64_t size)
{
	for (int try = 0; try < 50; try++) {
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (ends_cached(fd, size) == 0)
			return;
		usleep(100000);
	}
	bench_die("a source does not leave the page cache");
}

static void ends_make_cold(const struct setting *s)
{
	for (unsigned i = 0; s->c->cold && i < s->files_n; i++)
		ends_evict(s->from[i], ends_file_size(s->c));
}

static void ends_fill_cache(int fd, uint64_t size)
{
	static unsigned char block[MIB];

	for (uint64_t at = 0; at < size; at += sizeof(block))
		if (pread(fd, block, sizeof(block), (off_t)at) < 0)
			bench_die("reading the source: %s", strerror(errno));
}

static void ends_files(struct setting *s)
{
	const struct bench_case *c = s->c;
	uint64_t size = ends_file_size(c);
	unsigned n = c->split ? 1 : c->cold ? case_transfers(c) : c->at_once;

	s->files_n = n < BENCH_AT_ONCE_MAX ? n : BENCH_AT_ONCE_MAX;
	for (unsigned i = 0; i < s->files_n; i++) {
		if (asprintf(&s->paths[i], "%s/source-%u", c->tmpfs ? ends_shm : ends_disk, i) < 0)
			bench_die("no memory");
		s->from[i] = open(s->paths[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (s->from[i] < 0)
			bench_die("%s: %s", s->paths[i], strerror(errno));
		ends_file_make(s->from[i], size);
		/* Nobody who is measured shall be able to write to it. */
		close(s->from[i]);
		s->from[i] = open(s->paths[i], O_RDONLY | O_CLOEXEC);
		if (s->from[i] < 0)
			bench_die("%s: %s", s->paths[i], strerror(errno));
		if (!c->tmpfs)
			ends_evict(s->from[i], size);
		if (!c->cold)
			ends_fill_cache(s->from[i], size);
		if (c->cold || c->to == SINK_FILE)
			continue;
		s->maps[i] = mmap(NULL, size, PROT_READ, MAP_SHARED, s->from[i], 0);
		if (s->maps[i] == MAP_FAILED)
			bench_die("mmap: %s", strerror(errno));
	}
}

void ends_case(struct setting *s, const struct bench_case *c)
{
	s->c = c;
	s->scratch = ends_disk;
	snprintf(s->to_path, sizeof(s->to_path), "%s/sink", ends_disk);
	for (unsigned i = 0; i < BENCH_AT_ONCE_MAX; i++)
		s->to[i] = s->from[i] = -1;
	if (!c->from_memory) {
		ends_files(s);
		hold_memory(ends_cache_bytes(c));
		return;
	}
	s->memory = mmap(NULL, c->piece, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (s->memory == MAP_FAILED)
		bench_die("no memory");
	memset(s->memory, 1, c->piece);
}

void ends_case_over(struct setting *s)
{
	uint64_t size = ends_file_size(s->c);

	hold_over();
	for (unsigned i = 0; i < s->files_n; i++) {
		if (s->maps[i])
			munmap(s->maps[i], size);
		close(s->from[i]);
		unlink(s->paths[i]);
		free(s->paths[i]);
	}
	if (s->memory)
		munmap(s->memory, s->c->piece);
	unlink(s->to_path);
}

/* ------------------------------------------------------------------ sinks */

static void ends_pair_tcp(int ret[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (l < 0 || bind(l, (void *)&a, len) != 0 || listen(l, 1) != 0 ||
	    getsockname(l, (void *)&a, &len) != 0)
		bench_die("listening: %s", strerror(errno));
	ret[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ret[1] < 0 || connect(ret[1], (void *)&a, len) != 0)
		bench_die("connecting: %s", strerror(errno));
	ret[0] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (ret[0] < 0)
		bench_die("accepting: %s", strerror(errno));
	close(l);
	(void)setsockopt(ret[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* ret[0] is read from, ret[1] written to. */
static void ends_pair(enum sink kind, int ret[2])
{
	if (kind == SINK_TCP)
		ends_pair_tcp(ret);
	else if (kind == SINK_UNIX && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret) != 0)
		bench_die("socketpair: %s", strerror(errno));
	else if (kind == SINK_PIPE && pipe2(ret, O_CLOEXEC) != 0)
		bench_die("pipe: %s", strerror(errno));
}

static void ends_sample_file(struct setting *s)
{
	int flags = O_RDWR | O_CREAT | O_CLOEXEC;

	int dir = open(ends_disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Nobody pays for what another one left to be written. */
	if (dir < 0 || syncfs(dir) != 0)
		bench_die("%s: %s", ends_disk, strerror(errno));
	close(dir);
	/* A copy makes a new file; what is written past the cache overwrites. */
	if (!s->c->direct)
		unlink(s->to_path);
	s->to[0] = open(s->to_path, flags, 0600);
	if (s->to[0] < 0)
		bench_die("%s: %s", s->to_path, strerror(errno));
	if (s->c->direct && lseek(s->to[0], 0, SEEK_END) != (off_t)s->c->piece)
		ends_file_make(s->to[0], s->c->piece);
	(void)posix_fadvise(s->to[0], 0, 0, POSIX_FADV_DONTNEED);
}

void ends_sample(struct setting *s, const struct mover *m)
{
	const struct bench_case *c = s->c;
	int in[BENCH_AT_ONCE_MAX];

	ends_make_cold(s);
	if (c->to == SINK_FILE)
		ends_sample_file(s);
	if (!m->slow_start)
		hold_over();
	if (c->to == SINK_FILE)
		return;
	for (unsigned i = 0; i < c->at_once; i++) {
		int pair[2];

		ends_pair(c->to, pair);
		if (!m->blocking)
			(void)fcntl(pair[1], F_SETFL, fcntl(pair[1], F_GETFL) | O_NONBLOCK);
		in[i] = pair[0];
		s->to[i] = pair[1];
	}
	peer_receive(in, c->at_once, case_transfers(c) * c->piece, c->sleeping);
	for (unsigned i = 0; i < c->at_once; i++)
		close(in[i]);
}

void ends_wait(const struct setting *s)
{
	if (s->c->to != SINK_FILE)
		peer_wait();
}

void ends_sample_over(struct setting *s)
{
	for (unsigned i = 0; i < BENCH_AT_ONCE_MAX; i++) {
		if (s->to[i] >= 0)
			close(s->to[i]);
		s->to[i] = -1;
	}
	if (s->c->to != SINK_FILE)
		peer_over();
	else if (!s->c->direct)
		unlink(s->to_path);
	ends_make_cold(s);
	hold_memory(ends_cache_bytes(s->c));
}
