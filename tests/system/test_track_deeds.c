/* SPDX-License-Identifier: MIT */
/*
 * process/track: every write is told, whatever the victim does to its memory.
 */
#include <fcntl.h>
#include <linux/mman.h>
#include <sys/uio.h>

#include "lib/forked.h"
#include "lib/kit.h"
#include "lib/remote.h"
#include "lib/tracked.h"
#include "tap.h"

/* ----------------------------------------------------------- each by itself */

/*
 * One thing that a victim does to memory that was all written and protected:
 * what must be told in the stop, and what may.
 */

struct deed {
	const char *name;
	long (*fn)(uintptr_t arg);
	unsigned from, to;       /* pages that must be told */
	bool exact;              /* and no others */
	bool absent;             /* are not there afterwards: a round does not tell them */
};

static long deed_nothing(uintptr_t arg)
{
	(void)arg;
	return 0;
}

static long deed_read(uintptr_t arg)
{
	for (size_t i = 0; i < LEN / PAGE; i++)
		arg += (uintptr_t)*(volatile char *)tracked_page(i);
	return arg == 1;
}

static long deed_write(uintptr_t arg)
{
	*tracked_page(7) = (char)arg;
	return 0;
}

static long deed_drop_page(uintptr_t arg)
{
	(void)arg;
	return madvise(tracked_page(10), PAGE, MADV_DONTNEED);
}

static long deed_drop_block(uintptr_t arg)
{
	(void)arg;
	return madvise(tracked_page(512), BLOCK, MADV_DONTNEED);
}

static long deed_drop_all(uintptr_t arg)
{
	(void)arg;
	return madvise(tracked_page(0), LEN, MADV_DONTNEED);
}

static long deed_drop_and_read(uintptr_t arg)
{
	(void)arg;
	if (madvise(tracked_page(512), BLOCK, MADV_DONTNEED))
		return -1;
	return *(volatile char *)tracked_page(600) + *(volatile char *)tracked_page(700);
}

static long deed_drop_and_write(uintptr_t arg)
{
	(void)arg;
	if (madvise(tracked_page(512), BLOCK, MADV_DONTNEED))
		return -1;
	*tracked_page(600) = 1;
	return 0;
}

static long deed_unmap(uintptr_t arg)
{
	(void)arg;
	return munmap(tracked_page(100), 50 * PAGE);
}

static long deed_replace(uintptr_t arg)
{
	(void)arg;
	forked_put(512 * PAGE, BLOCK, RW, ANON);
	return 0;
}

static long deed_replace_and_write(uintptr_t arg)
{
	(void)arg;
	forked_put(512 * PAGE, BLOCK, RW, ANON);
	*tracked_page(600) = 1;
	return 0;
}

static long deed_replace_shared(uintptr_t arg)
{
	(void)arg;
	memset(forked_put(512 * PAGE, BLOCK, RW, MAP_SHARED | MAP_ANONYMOUS), 2, BLOCK);
	return 0;
}

static long deed_move_within(uintptr_t arg)
{
	(void)arg;
	return mremap(tracked_page(0), 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      tracked_page(1024)) == tracked_page(1024) ? 0 : -1;
}

static long deed_move_in(uintptr_t arg)
{
	char *p = forked_put(64 * MIB, 100 * PAGE, RW, ANON);

	(void)arg;
	memset(p, 7, 100 * PAGE);
	return mremap(p, 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      tracked_page(1024)) == tracked_page(1024) ? 0 : -1;
}

static long deed_move_keep(uintptr_t arg)
{
	(void)arg;
	return mremap(tracked_page(0), BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) ==
	       MAP_FAILED ? -1 : 0;
}

static long deed_protect(uintptr_t arg)
{
	(void)arg;
	if (mprotect(tracked_page(0), LEN, PROT_READ) || mprotect(tracked_page(0), LEN, PROT_NONE))
		return -1;
	return mprotect(tracked_page(0), LEN, RW);
}

static long deed_protect_and_write(uintptr_t arg)
{
	(void)arg;
	if (mprotect(tracked_page(20), PAGE, PROT_READ) || mprotect(tracked_page(20), PAGE, RW))
		return -1;
	*tracked_page(20) = 9;
	return 0;
}

static long deed_kernel_writes(uintptr_t arg)
{
	int fd = open("/dev/zero", O_RDONLY);

	(void)arg;
	return read(fd, tracked_page(30), 3 * PAGE) == 3 * PAGE ? close(fd) : -1;
}

static long deed_pipe_writes(uintptr_t arg)
{
	int fds[2];

	(void)arg;
	if (pipe(fds) || write(fds[1], "x", 1) != 1 || read(fds[0], tracked_page(31) + 5, 1) != 1)
		return -1;
	return close(fds[0]) || close(fds[1]);
}

static void child_of_victim(void (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		fn();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void child_writes(void)
{
	memset(tracked_page(0), 5, LEN);
}

/* Its writes are to copies of its own. */
static long deed_child_writes(uintptr_t arg)
{
	(void)arg;
	child_of_victim(child_writes);
	return 0;
}

static void child_nothing(void)
{
}

static long deed_fork_and_write(uintptr_t arg)
{
	(void)arg;
	child_of_victim(child_nothing);
	*tracked_page(40) = 4;
	return 0;
}

static int fork_fds[2];

/* While the child lives the write is a copy; then the child goes. */
static long deed_write_beside_child(uintptr_t arg)
{
	pid_t pid;
	char c;

	(void)arg;
	if (pipe(fork_fds))
		return -1;
	pid = fork();
	if (pid == 0) {
		close(fork_fds[1]);
		_exit(read(fork_fds[0], &c, 1) != 0);
	}
	*tracked_page(40) = 4;
	close(fork_fds[1]);
	waitpid(pid, NULL, 0);
	*tracked_page(41) = 4;
	return close(fork_fds[0]);
}

static long deed_other_process_writes(uintptr_t arg)
{
	char c = 3;
	struct iovec local = { &c, 1 }, remote = { tracked_page(50), 1 };
	int fd = open("/proc/self/mem", O_RDWR);

	(void)arg;
	if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) != 1)
		return -1;
	return pwrite(fd, &c, 1, (off_t)(uintptr_t)tracked_page(51)) == 1 ? close(fd) : -1;
}

static long deed_collapse(uintptr_t arg)
{
	(void)arg;
	(void)madvise(tracked_page(0), LEN, MADV_HUGEPAGE);
	(void)madvise(tracked_page(0), LEN, 25 /* MADV_COLLAPSE */);
	return 0;
}

static long deed_collapse_and_write(uintptr_t arg)
{
	deed_collapse(arg);
	*tracked_page(60) = 1;
	return 0;
}

static long deed_cold(uintptr_t arg)
{
	(void)arg;
	return madvise(tracked_page(0), LEN, 20 /* MADV_COLD */);
}

static long deed_free_and_write(uintptr_t arg)
{
	(void)arg;
	if (madvise(tracked_page(70), 2 * PAGE, MADV_FREE))
		return -1;
	*tracked_page(70) = 1;
	return 0;
}

static long deed_atomic(uintptr_t arg)
{
	(void)arg;
	__atomic_fetch_add((long *)tracked_page(80), 1, __ATOMIC_SEQ_CST);
	/* Compared and not changed: still a write to the processor. */
	return 0;
}

static const struct deed deeds[] = {
	{ "nothing", deed_nothing, 0, 0, true, false },
	{ "reads", deed_read, 0, 0, true, false },
	{ "writes a page", deed_write, 7, 8, true, false },
	{ "drops a page", deed_drop_page, 10, 11, true, true },
	{ "drops a page table", deed_drop_block, 512, 1024, true, true },
	{ "drops all", deed_drop_all, 0, LEN / PAGE, true, true },
	{ "drops and reads", deed_drop_and_read, 512, 1024, true, true },
	{ "drops and writes", deed_drop_and_write, 600, 601, false, false },
	{ "unmaps and leaves a gap", deed_unmap, 0, 0, false, false },
	{ "maps anew", deed_replace, 512, 1024, true, true },
	{ "maps anew and writes", deed_replace_and_write, 600, 601, false, false },
	{ "maps shared memory there", deed_replace_shared, 512, 1024, true, false },
	{ "moves a part of it over another", deed_move_within, 1024, 1124, false, false },
	{ "moves something in", deed_move_in, 1024, 1124, true, false },
	{ "moves the pages and keeps the mapping", deed_move_keep, 0, 512, true, true },
	{ "changes protection", deed_protect, 0, 0, true, false },
	{ "changes protection and writes", deed_protect_and_write, 20, 21, true, false },
	{ "reads from a file into it", deed_kernel_writes, 30, 33, true, false },
	{ "reads from a pipe into it", deed_pipe_writes, 31, 32, true, false },
	{ "has a child that writes", deed_child_writes, 0, 0, true, false },
	{ "forks, then writes", deed_fork_and_write, 40, 41, true, false },
	{ "writes beside a child", deed_write_beside_child, 40, 42, true, false },
	{ "is written to by a process", deed_other_process_writes, 50, 52, true, false },
	{ "asks for huge pages", deed_collapse, 0, 0, false, false },
	{ "asks for huge pages and writes", deed_collapse_and_write, 60, 61, false, false },
	{ "calls it cold", deed_cold, 0, 0, true, false },
	{ "frees and writes", deed_free_and_write, 70, 71, false, false },
	{ "adds atomically", deed_atomic, 80, 81, true, false },
};
#define DEEDS (sizeof(deeds) / sizeof(deeds[0]))

struct deed_case {
	const struct deed *deed;
	const char *mask;
	bool huge, round;        /* told to a round before the stop's scan */
};

/* A victim whose every page is protected, after one deed; in a round and in a stop. */
static void test_deed(const void *arg)
{
	const struct deed_case *c = arg;
	const struct deed *d = c->deed;
	struct ranges written = RANGES_INIT;
	unsigned char want[LEN / PAGE] = { 0 };
	struct forked f;
	struct track *tr = tracked_begin(&f, c->mask,
					 c->huge ? tracked_huge : tracked_small, LEN);
	unsigned n;

	memset(want + d->from, 1, d->to - d->from);
	forked_do(&f, tracked_fill, LEN);
	tracked_look(tr, LEN, true, &written);
	is_int(ranges_bytes(&written), LEN, "all is there, and written");
	tracked_look(tr, LEN, false, &written);
	is_int(ranges_bytes(&written), 0, "and protected");
	is_int(forked_do(&f, d->fn, 1), 0, "the deed is done");
	if (c->round) {
		tracked_look(tr, LEN, true, &written);
		n = tracked_differ(&written, want, LEN / PAGE, !d->exact || d->absent);
		if (!d->absent)
			is_int(n, 0, "a round tells");
		tracked_look(tr, LEN, true, &written);
		n = tracked_differ(&written, want, LEN / PAGE, true);
		diag("a second round tells of %llu pages",
		     (unsigned long long)(ranges_bytes(&written) / PAGE));
		if (!d->absent)
			goto out;
	}
	tracked_look(tr, LEN, false, &written);
	is_int(tracked_differ(&written, want, LEN / PAGE, true), 0, "the stop misses none");
	if (d->exact)
		is_int(tracked_differ(&written, want, LEN / PAGE, false), 0, "and tells no others");
out:
	ranges_free(&written);
	tracked_end(&f, tr);
}

static void test_deeds(void)
{
	for (size_t i = 0; i < DEEDS; i++) {
		for (unsigned how = 0; how < 6; how++) {
			struct deed_case c = {
				.deed = &deeds[i], .mask = how >= 4 ? "wp_holes" : NULL,
				.huge = how & 1, .round = how & 2,
			};

			/* Collapsing makes new pages; moved huge pages may be split or not. */
			kit_case(test_deed, &c, "%s%s%s%s", deeds[i].name,
				 c.huge ? ", huge pages" : "", c.round ? ", told to a round" : "",
				 c.mask ? ", without wp_holes" : "");
		}
	}
}

int main(void)
{
	need_root();
	kit_start(240);
	if (!tracked_can())
		skip_all("this kernel has no asynchronous write protection");
	test_deeds();
	return done();}
