/* SPDX-License-Identifier: MIT */
/*
 * Writes exactly the pages that pages.h says, one step when it is asked for one,
 * or all the time.
 *	--every-us N    a step so often, unasked
 *	--file PATH     a file of PAGES_EACH pages to be mapped
 *	--forget N      does not write page N of the private mapping (a control)
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pages.h"
#include "victim.h"

static int zero_fd;
static volatile unsigned char taken;

static void *pages_map(enum pages_map map, int flags, int fd)
{
	void *want = (void *)pages_addr(map, 0);
	void *p = mmap(want, (size_t)PAGES_EACH * PAGES_SIZE, PROT_READ | PROT_WRITE,
		       flags | MAP_FIXED_NOREPLACE, fd, 0);

	if (p != want)
		victim_die("mmap");
	return p;
}

static void pages_write(unsigned char *page, unsigned step)
{
	page[step % PAGES_SIZE] = (unsigned char)(step + 1);
	page[PAGES_SIZE - 1 - step % PAGES_SIZE]++;
}

static void pages_do(unsigned char *page, enum pages_deed deed, unsigned step)
{
	switch (deed) {
	case PAGES_NOTHING:
		return;
	case PAGES_READ:
		taken = page[0];
		return;
	case PAGES_INTO:
		if (read(zero_fd, page, 100) != 100)
			victim_die("/dev/zero");
		return;
	case PAGES_DROP_WRITE:
	case PAGES_DROP:
		if (madvise(page, PAGES_SIZE, MADV_DONTNEED) != 0)
			victim_die("MADV_DONTNEED");
		if (deed == PAGES_DROP_WRITE)
			pages_write(page, step);
		return;
	case PAGES_WRITE_DROP:
		pages_write(page, step);
		if (madvise(page, PAGES_SIZE, MADV_DONTNEED) != 0)
			victim_die("MADV_DONTNEED");
		return;
	case PAGES_WRITE:
		pages_write(page, step);
		return;
	}
}

static void pages_step(unsigned step, unsigned forget)
{
	(void)munmap((void *)pages_addr(PAGES_NEW, 0), (size_t)PAGES_EACH * PAGES_SIZE);
	madvise(pages_map(PAGES_NEW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1),
		(size_t)PAGES_EACH * PAGES_SIZE, MADV_NOHUGEPAGE);
	for (enum pages_map map = PAGES_ANON; map < PAGES_MAPS_N; map++)
		for (unsigned i = 0; i < PAGES_EACH; i++)
			if (map != PAGES_ANON || i != forget)
				pages_do((unsigned char *)pages_addr(map, i),
					 pages_deed(step, map, i), step);
}

static void pages_begin(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || zero_fd < 0)
		victim_die("--file, /dev/zero");
	(void)prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	madvise(pages_map(PAGES_ANON, MAP_PRIVATE | MAP_ANONYMOUS, -1),
		(size_t)PAGES_EACH * PAGES_SIZE, MADV_NOHUGEPAGE);
	madvise(pages_map(PAGES_HUGE, MAP_PRIVATE | MAP_ANONYMOUS, -1),
		(size_t)PAGES_EACH * PAGES_SIZE, MADV_HUGEPAGE);
	(void)pages_map(PAGES_FILE, MAP_PRIVATE, fd);
	/* All are there: a page of shared memory that is seen first counts as written. */
	memset(pages_map(PAGES_SHARED, MAP_SHARED | MAP_ANONYMOUS, -1), 1,
	       (size_t)PAGES_EACH * PAGES_SIZE);
	memset((void *)pages_addr(PAGES_HUGE, 0), 1, (size_t)PAGES_EACH * PAGES_SIZE);
	(void)pages_map(PAGES_NEW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	close(fd);
}

int main(int argc, char **argv)
{
	uint64_t every_us, forget, step = 0;

	victim_start(&argc, argv);
	every_us = victim_option(argc, argv, "--every-us", 0);
	forget = victim_option(argc, argv, "--forget", UINT64_MAX);
	pages_begin(victim_text(argc, argv, "--file", ""));
	victim_ready();
	for (;;) {
		uint64_t asked = __atomic_load_n(&report->ask, __ATOMIC_ACQUIRE);

		if (every_us ? step == UINT64_MAX : asked == step) {
			victim_round();
			victim_sleep_ns(200000);
			continue;
		}
		step++;
		pages_step((unsigned)step, (unsigned)forget);
		__atomic_store_n(&report->answered, step, __ATOMIC_RELEASE);
		victim_round();
		if (every_us)
			victim_sleep_ns(every_us * 1000);
	}
}
