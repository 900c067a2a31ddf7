/* SPDX-License-Identifier: MIT */
/* The kernel is made to read ahead: where, and that nothing waits for it. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "route/ahead.h"
#include "tap.h"

#define MIB (1u << 20)
#define FILE_BYTES (32ull * MIB)
#define PAGE 4096

static struct job job;

/* A file on the disk, nothing of it in the page cache. */
static int cold_file(void)
{
	static char block[MIB];
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR, 0600);
	struct stat st;

	need(fd >= 0 && fstat(fd, &st) == 0, "a scratch file in /var/tmp");
	memset(block, 'a', sizeof(block));
	for (uint64_t at = 0; at < FILE_BYTES; at += MIB)
		need(pwrite(fd, block, MIB, (off_t)at) == MIB, "scratch file");
	need(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "evicted");
	job = (struct job){ .len = FILE_BYTES };
	job.from = (struct end){ .kind = DECANT_END_FILE, .fd = fd, .io_fd = fd, .dev = st.st_dev };
	return fd;
}

static bool page_is_there(int fd, uint64_t offset)
{
	unsigned char there = 0;
	void *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)offset);

	need(map != MAP_FAILED && mincore(map, PAGE, &there) == 0, "mincore");
	munmap(map, PAGE);
	return there & 1;
}

static void test_window(void)
{
	struct ahead a;

	cold_file();
	ahead_init(&a, &job);
	ok(a.distance == 0 || (a.distance >= MIB && a.distance <= 64 * MIB),
	   "a window that is worth it, or none: %ju", (uintmax_t)a.distance);
	job.len = MIB;
	ahead_init(&a, &job);
	is_int(a.distance, 0, "none for a small file");
	job.len = FILE_BYTES;
	job.from.dev = 0;
	ahead_init(&a, &job);
	is_int(a.distance, 0, "none where the disk is not known");
	job.from.kind = DECANT_END_PIPE;
	ahead_init(&a, &job);
	is_int(a.distance, 0, "none for a pipe");
}

static bool page_comes(int fd, uint64_t offset)
{
	for (int tries = 0; tries < 500; tries++) {
		if (page_is_there(fd, offset))
			return true;
		usleep(10000);
	}
	return false;
}

/* To older kernels RWF_NOWAIT means: read nothing from the disk at all. */
static bool nowait_reads(void)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	int fd = cold_file();

	if (preadv2(fd, &iov, 1, 0, RWF_NOWAIT) < 0 && errno == EAGAIN)
		return page_comes(fd, 0);
	return true;
}

static void test_touch(void)
{
	struct ahead a = { .distance = 8 * MIB };
	int fd;

	if (!nowait_reads())
		skip("RWF_NOWAIT starts no reading on this kernel");
	fd = cold_file();
	ok(!page_is_there(fd, 8 * MIB - PAGE), "control: the page is not there");
	ahead_touch(&a, &job);
	ok(page_comes(fd, 8 * MIB - PAGE), "the page comes by itself");
	ok(!page_is_there(fd, FILE_BYTES - PAGE), "and not the whole file");
	is_int(job.taken, 0, "nothing was taken");
}

static void test_end(void)
{
	struct ahead a = { .distance = 8 * MIB };
	int fd = cold_file();

	job.taken = FILE_BYTES - MIB;
	ahead_touch(&a, &job);
	a.distance = 0;
	job.taken = 0;
	ahead_touch(&a, &job);
	usleep(50000);
	ok(!page_is_there(fd, 0) && !page_is_there(fd, FILE_BYTES - PAGE),
	   "nothing is read behind the end, or where it is off");
}

int main(void)
{
	struct ahead a = { .distance = MIB };

	test_window();
	tap_case("a touched page is read", test_touch);
	tap_case("not behind the end", test_end);
	job.from.io_fd = -1;
	ahead_touch(&a, &job);
	ok(true, "a descriptor that is none does no harm");
	return done();
}
