/* SPDX-License-Identifier: MIT */
/*
 * process/track: every write is told, whatever the victim does to its memory;
 * a plain write and nothing else; and nothing is left behind.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "lib/forked.h"
#include "lib/kit.h"
#include "lib/remote.h"
#include "lib/victims.h"
#include "process/pages.h"
#include "process/track_state.h"
#include "sys/fault.h"
#include "sys/proc.h"
#include "tap.h"
#include "uapi/userfaultfd.h"

#define PAGE 4096ul
#define MIB (1ul << 20)
#define BLOCK (2 * MIB)
#define AT ((uintptr_t)FORKED_AT)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static const char *const masks[] = { NULL, "wp_holes" };

static const char *mask_name(const void *arg)
{
	const char *mask = *(const char *const *)arg;

	return mask ? mask : "nothing";
}

static char *put(size_t at, size_t len, int prot, int flags)
{
	char *p = mmap(FORKED_AT + at, len, prot, flags | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		_exit(9);
	return p;
}

static long victim_small(uintptr_t len)
{
	madvise(put(0, len, RW, ANON), len, MADV_NOHUGEPAGE);
	return 0;
}

static long victim_huge(uintptr_t len)
{
	char *p = put(0, len, RW, ANON);

	madvise(p, len, MADV_HUGEPAGE);
	memset(p, 1, len);
	return 0;
}

static long victim_userfaultfd(uintptr_t arg)
{
	(void)arg;
	return syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
}

static long victim_close(uintptr_t fd)
{
	return close((int)fd);
}

/* Its userfaultfd, closed there. */
static int steal_uffd(struct forked *f)
{
	int theirs = (int)forked_do(f, victim_userfaultfd, 0);
	int ours = sys_pidfd_getfd(f->target->pidfd, theirs, 0);

	if (theirs < 0 || ours < 0)
		kit_die("userfaultfd: %d, %d", theirs, ours);
	is_int(forked_do(f, victim_close, (uintptr_t)theirs), 0, "closed");
	return ours;
}

static struct track *begin(struct forked *f, const char *mask, long (*prepare)(uintptr_t),
			   size_t len)
{
	struct track *tr = NULL;
	struct err e = { "" };

	forked_start(f, mask);
	forked_do(f, prepare, len);
	forked_open(f);
	need(track_adopt(&tr, f->target, steal_uffd(f), &e) == 0, "%s", e.text);
	need(track_arm(tr, AT, AT + len, &e) == 0, "%s", e.text);
	return tr;
}

static void end(struct forked *f, struct track *tr)
{
	track_close(tr);
	forked_end(f);
}

static void look(struct track *tr, size_t len, bool again, struct ranges *written)
{
	struct err e = { "" };

	ranges_clear(written);
	is_int(track_scan(tr, AT, AT + len, again, written, &e), 0, "scan %s", e.text);
}

/* ------------------------------------------------------------- plain writes */

static long victim_write(uintptr_t page)
{
	FORKED_AT[page * PAGE] += 1;
	return 0;
}

static long victim_read(uintptr_t page)
{
	return ((volatile char *)FORKED_AT)[page * PAGE];
}

#define PLAIN_LEN (24 * MIB)
#define PLAIN_PAGES (PLAIN_LEN / PAGE)

static unsigned differ(const struct ranges *got, const unsigned char *want, size_t pages,
		       bool superset)
{
	unsigned n = 0;

	for (size_t i = 0; i < pages; i++) {
		bool has = ranges_has(got, AT + i * PAGE);

		n += superset ? want[i] && !has : want[i] != has;
	}
	return n;
}

static void test_plain(const void *arg)
{
	static unsigned char wrote[PLAIN_PAGES], there[PLAIN_PAGES];
	struct ranges written = RANGES_INIT, is_there = RANGES_INIT, both = RANGES_INIT;
	struct pages_found found = { .there = &is_there };
	struct forked f;
	struct track *tr = begin(&f, *(const char *const *)arg, victim_small, PLAIN_LEN);

	for (unsigned round = 0; round < 12; round++) {
		memset(wrote, 0, sizeof(wrote));
		for (unsigned i = 0; i < 1500; i++) {
			size_t page = kit_random() % PLAIN_PAGES;

			/* Half of it stays empty for a long time. */
			page = round < 6 ? page / 1024 * 1024 + page % 512 : page;
			if (kit_random() % 4 == 0) {
				forked_do(&f, victim_read, page);
				continue;
			}
			forked_do(&f, victim_write, page);
			there[page] = wrote[page] = 1;
		}
		if (round % 3 == 2) {
			look(tr, PLAIN_LEN, false, &written);
			is_int(differ(&written, wrote, PLAIN_PAGES, true), 0, "none is missed");
			ranges_clear(&is_there);
			is_int(pages_scan(f.target, AT, AT + PLAIN_LEN, &found, NULL), 0, "scan");
			is_int(differ(&is_there, there, PLAIN_PAGES, false), 0, "what is there");
			is_int(ranges_intersect(&both, &written, &is_there), 0, "memory");
			is_int(differ(&both, wrote, PLAIN_PAGES, false), 0, "told exactly, again");
		}
		look(tr, PLAIN_LEN, true, &written);
		is_int(differ(&written, wrote, PLAIN_PAGES, false), 0, "round %u: exactly", round);
	}
	look(tr, PLAIN_LEN, true, &written);
	is_int(written.n, 0, "nothing since");
	ranges_free(&written);
	ranges_free(&is_there);
	ranges_free(&both);
	end(&f, tr);
}

/* One without any right watches another of the same user. */
static void test_nobody(void)
{
	const char *mask = NULL;

	if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
	    setresuid(65534, 65534, 65534))
		bail("cannot become nobody");
	prctl(PR_SET_DUMPABLE, 1);
	test_plain(&mask);
}

/* ----------------------------------------------------------- each by itself */

/*
 * One thing that a victim does to memory that was all written and protected:
 * what must be told in the stop, and what may.
 */
#define LEN (8 * MIB)

struct deed {
	const char *name;
	long (*fn)(uintptr_t arg);
	unsigned from, to;       /* pages that must be told */
	bool exact;              /* and no others */
	bool absent;             /* are not there afterwards: a round does not tell them */
};

static char *page(size_t n)
{
	return FORKED_AT + n * PAGE;
}

static long deed_nothing(uintptr_t arg)
{
	(void)arg;
	return 0;
}

static long deed_read(uintptr_t arg)
{
	for (size_t i = 0; i < LEN / PAGE; i++)
		arg += (uintptr_t)*(volatile char *)page(i);
	return arg == 1;
}

static long deed_write(uintptr_t arg)
{
	*page(7) = (char)arg;
	return 0;
}

static long deed_drop_page(uintptr_t arg)
{
	(void)arg;
	return madvise(page(10), PAGE, MADV_DONTNEED);
}

static long deed_drop_block(uintptr_t arg)
{
	(void)arg;
	return madvise(page(512), BLOCK, MADV_DONTNEED);
}

static long deed_drop_all(uintptr_t arg)
{
	(void)arg;
	return madvise(page(0), LEN, MADV_DONTNEED);
}

static long deed_drop_and_read(uintptr_t arg)
{
	(void)arg;
	if (madvise(page(512), BLOCK, MADV_DONTNEED))
		return -1;
	return *(volatile char *)page(600) + *(volatile char *)page(700);
}

static long deed_drop_and_write(uintptr_t arg)
{
	(void)arg;
	if (madvise(page(512), BLOCK, MADV_DONTNEED))
		return -1;
	*page(600) = 1;
	return 0;
}

static long deed_unmap(uintptr_t arg)
{
	(void)arg;
	return munmap(page(100), 50 * PAGE);
}

static long deed_replace(uintptr_t arg)
{
	(void)arg;
	put(512 * PAGE, BLOCK, RW, ANON);
	return 0;
}

static long deed_replace_and_write(uintptr_t arg)
{
	(void)arg;
	put(512 * PAGE, BLOCK, RW, ANON);
	*page(600) = 1;
	return 0;
}

static long deed_replace_shared(uintptr_t arg)
{
	(void)arg;
	memset(put(512 * PAGE, BLOCK, RW, MAP_SHARED | MAP_ANONYMOUS), 2, BLOCK);
	return 0;
}

static long deed_move_within(uintptr_t arg)
{
	(void)arg;
	return mremap(page(0), 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      page(1024)) == page(1024) ? 0 : -1;
}

static long deed_move_in(uintptr_t arg)
{
	char *p = put(64 * MIB, 100 * PAGE, RW, ANON);

	(void)arg;
	memset(p, 7, 100 * PAGE);
	return mremap(p, 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      page(1024)) == page(1024) ? 0 : -1;
}

static long deed_move_keep(uintptr_t arg)
{
	(void)arg;
	return mremap(page(0), BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) ==
	       MAP_FAILED ? -1 : 0;
}

static long deed_protect(uintptr_t arg)
{
	(void)arg;
	if (mprotect(page(0), LEN, PROT_READ) || mprotect(page(0), LEN, PROT_NONE))
		return -1;
	return mprotect(page(0), LEN, RW);
}

static long deed_protect_and_write(uintptr_t arg)
{
	(void)arg;
	if (mprotect(page(20), PAGE, PROT_READ) || mprotect(page(20), PAGE, RW))
		return -1;
	*page(20) = 9;
	return 0;
}

static long deed_kernel_writes(uintptr_t arg)
{
	int fd = open("/dev/zero", O_RDONLY);

	(void)arg;
	return read(fd, page(30), 3 * PAGE) == 3 * PAGE ? close(fd) : -1;
}

static long deed_pipe_writes(uintptr_t arg)
{
	int fds[2];

	(void)arg;
	if (pipe(fds) || write(fds[1], "x", 1) != 1 || read(fds[0], page(31) + 5, 1) != 1)
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
	memset(page(0), 5, LEN);
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
	*page(40) = 4;
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
	*page(40) = 4;
	close(fork_fds[1]);
	waitpid(pid, NULL, 0);
	*page(41) = 4;
	return close(fork_fds[0]);
}

static long deed_other_process_writes(uintptr_t arg)
{
	char c = 3;
	struct iovec local = { &c, 1 }, remote = { page(50), 1 };
	int fd = open("/proc/self/mem", O_RDWR);

	(void)arg;
	if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) != 1)
		return -1;
	return pwrite(fd, &c, 1, (off_t)(uintptr_t)page(51)) == 1 ? close(fd) : -1;
}

static long deed_collapse(uintptr_t arg)
{
	(void)arg;
	(void)madvise(page(0), LEN, MADV_HUGEPAGE);
	(void)madvise(page(0), LEN, 25 /* MADV_COLLAPSE */);
	return 0;
}

static long deed_collapse_and_write(uintptr_t arg)
{
	deed_collapse(arg);
	*page(60) = 1;
	return 0;
}

static long deed_cold(uintptr_t arg)
{
	(void)arg;
	return madvise(page(0), LEN, 20 /* MADV_COLD */);
}

static long deed_free_and_write(uintptr_t arg)
{
	(void)arg;
	if (madvise(page(70), 2 * PAGE, MADV_FREE))
		return -1;
	*page(70) = 1;
	return 0;
}

static long deed_atomic(uintptr_t arg)
{
	(void)arg;
	__atomic_fetch_add((long *)page(80), 1, __ATOMIC_SEQ_CST);
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

static long victim_fill(uintptr_t len)
{
	for (size_t i = 0; i < len / PAGE; i++)
		*(uint64_t *)page(i) = i + 1;
	return 0;
}

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
	struct track *tr = begin(&f, c->mask, c->huge ? victim_huge : victim_small, LEN);
	unsigned n;

	memset(want + d->from, 1, d->to - d->from);
	forked_do(&f, victim_fill, LEN);
	look(tr, LEN, true, &written);
	is_int(ranges_bytes(&written), LEN, "all is there, and written");
	look(tr, LEN, false, &written);
	is_int(ranges_bytes(&written), 0, "and protected");
	is_int(forked_do(&f, d->fn, 1), 0, "the deed is done");
	if (c->round) {
		look(tr, LEN, true, &written);
		n = differ(&written, want, LEN / PAGE, !d->exact || d->absent);
		if (!d->absent)
			is_int(n, 0, "a round tells");
		look(tr, LEN, true, &written);
		n = differ(&written, want, LEN / PAGE, true);
		diag("a second round tells of %llu pages",
		     (unsigned long long)(ranges_bytes(&written) / PAGE));
		if (!d->absent)
			goto out;
	}
	look(tr, LEN, false, &written);
	is_int(differ(&written, want, LEN / PAGE, true), 0, "the stop misses none");
	if (d->exact)
		is_int(differ(&written, want, LEN / PAGE, false), 0, "and tells no others");
out:
	ranges_free(&written);
	end(&f, tr);
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

/* --------------------------------------------------------------- swapped out */

static long victim_pageout(uintptr_t len)
{
	return madvise(FORKED_AT, len, 21 /* MADV_PAGEOUT */);
}

#define SWAP "./track-swap"

/* Its protection goes out with a page and comes back. */
static void test_swapped(void)
{
	struct ranges written = RANGES_INIT;
	struct pages_found found = { .there = NULL };
	int fd = kit_must(open(SWAP, O_RDWR | O_CREAT, 0600));
	struct forked f;
	struct track *tr;

	if (posix_fallocate(fd, 0, 16 * MIB) || system("mkswap " SWAP " >/dev/null 2>&1") ||
	    swapon(SWAP, 0))
		skip("no swap file can be made here");
	tr = begin(&f, NULL, victim_small, LEN);
	forked_do(&f, victim_fill, LEN);
	look(tr, LEN, true, &written);
	forked_do(&f, victim_pageout, LEN);
	is_int(pages_scan(f.target, AT, AT + LEN, &found, NULL), 0, "scan");
	ok(found.swapped_bytes > MIB, "%llu bytes are swapped out",
	   (unsigned long long)found.swapped_bytes);
	look(tr, LEN, false, &written);
	is_int(ranges_bytes(&written), 0, "that is no write");
	forked_do(&f, victim_read, 100);
	look(tr, LEN, false, &written);
	is_int(ranges_bytes(&written), 0, "nor is coming back");
	forked_do(&f, victim_write, 200);
	forked_do(&f, victim_write, 100);
	look(tr, LEN, true, &written);
	is_int(ranges_bytes(&written), 2 * PAGE, "a write is one");
	ok(ranges_has(&written, AT + 100 * PAGE) && ranges_has(&written, AT + 200 * PAGE), "both");
	forked_do(&f, victim_pageout, LEN);
	look(tr, LEN, false, &written);
	is_int(ranges_bytes(&written), 0, "protected again, and swapped out");
	ranges_free(&written);
	end(&f, tr);
	kit_must(swapoff(SWAP));
}

/* ------------------------------------------------------- leaves nothing behind */

static long victim_tables(uintptr_t arg)
{
	(void)arg;
	return (long)kit_status("VmPTE");
}

static long victim_maps(uintptr_t arg)
{
	int fd = open("/proc/self/maps", O_RDONLY);
	char c[4096];
	long lines = 0;
	ssize_t n;

	(void)arg;
	while ((n = read(fd, c, sizeof(c))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += c[i] == '\n';
	close(fd);
	return lines;
}

static long victim_huge_kib(uintptr_t arg)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[200];
	long kib = 0;

	(void)arg;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "AnonHugePages: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static long victim_sparse(uintptr_t len)
{
	char *p = put(0, len, RW, ANON | MAP_NORESERVE);

	madvise(p, len, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < len; at += 1ul << 36)
		p[at] = 1;
	return 0;
}

static void test_sparse(void)
{
	const size_t len = 1ul << 42;
	struct ranges written = RANGES_INIT;
	struct forked f;
	struct track *tr = begin(&f, NULL, victim_sparse, len);
	long tables = forked_do(&f, victim_tables, 0), maps = forked_do(&f, victim_maps, 0);
	uint64_t t = kit_now_ns();

	look(tr, len, true, &written);
	diag("4 TiB with 64 pages: first round %llu us",
	     (unsigned long long)(kit_now_ns() - t) / 1000);
	is_int(ranges_bytes(&written), 64 * PAGE, "what is there");
	/* The victim needs one or another for itself. */
	ok(forked_do(&f, victim_tables, 0) - tables <= 64, "no page tables are made");
	forked_do(&f, victim_write, 123456);
	look(tr, len, true, &written);
	is_int(ranges_bytes(&written), PAGE, "a page that is new");
	ok(forked_do(&f, victim_tables, 0) - tables <= 64, "has one for itself");
	t = kit_now_ns();
	look(tr, len, false, &written);
	diag("in the stop %llu us", (unsigned long long)(kit_now_ns() - t) / 1000);
	ok(!ranges_has(&written, AT) && !ranges_has(&written, AT + 123456 * PAGE),
	   "what was not written is not told, holes are");
	t = kit_now_ns();
	track_close(tr);
	diag("close %llu us", (unsigned long long)(kit_now_ns() - t) / 1000);
	ok(forked_do(&f, victim_tables, 0) - tables <= 64, "nor does closing make any");
	is_int(forked_do(&f, victim_maps, 0), maps, "and as many mappings as before");
	ranges_free(&written);
	forked_end(&f);
}

static void test_huge(void)
{
	struct ranges written = RANGES_INIT;
	struct forked f;
	struct track *tr = begin(&f, NULL, victim_huge, 64 * MIB);
	long huge = forked_do(&f, victim_huge_kib, 0);

	if (huge < 60 * 1024)
		skip("no huge pages to be had");
	for (int i = 0; i < 3; i++)
		look(tr, 64 * MIB, true, &written);
	look(tr, 64 * MIB, false, &written);
	is_int(ranges_bytes(&written), 0, "nothing was written");
	is_int(forked_do(&f, victim_huge_kib, 0), huge, "huge pages are whole");
	forked_do(&f, victim_write, 1000);
	forked_do(&f, victim_write, 1001);
	look(tr, 64 * MIB, true, &written);
	is_int(ranges_bytes(&written), 2 * PAGE, "a write is told by the page");
	is_int(forked_do(&f, victim_huge_kib, 0), huge - 2048, "one huge page is split");
	track_close(tr);
	is_int(forked_do(&f, victim_huge_kib, 0), huge - 2048, "closing splits none");
	ranges_free(&written);
	forked_end(&f);
}

static long victim_fds(uintptr_t arg)
{
	long n = 0;

	(void)arg;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_close(void)
{
	struct ranges written = RANGES_INIT;
	struct forked f;
	struct track *tr;
	long maps, fds;

	forked_start(&f, NULL);
	forked_do(&f, victim_small, LEN);
	forked_do(&f, victim_fill, LEN);
	forked_open(&f);
	maps = forked_do(&f, victim_maps, 0);
	fds = forked_do(&f, victim_fds, 0);
	need(track_adopt(&tr, f.target, steal_uffd(&f), NULL) == 0, "adopt");
	is_int(track_arm(tr, AT, AT + LEN, NULL), 0, "arm");
	look(tr, LEN, true, &written);
	track_close(tr);
	is_int(forked_do(&f, victim_maps, 0), maps, "as many mappings as before");
	is_int(forked_do(&f, victim_fds, 0), fds, "as many descriptors");
	for (size_t i = 0; i < LEN / PAGE; i += 16)
		forked_do(&f, victim_write, i);
	need(track_adopt(&tr, f.target, steal_uffd(&f), NULL) == 0, "adopt");
	is_int(track_arm(tr, AT, AT + LEN, NULL), 0, "another one can follow");
	look(tr, LEN, false, &written);
	is_int(ranges_bytes(&written), LEN, "which begins anew");
	ranges_free(&written);
	end(&f, tr);
}

/* -------------------------------------------------------------- refused, gone */

static long victim_own_uffd(uintptr_t len)
{
	int uffd = (int)victim_userfaultfd(0);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { AT, len }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	return ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg);
}

static void test_refused(void)
{
	struct err e = { "" };
	struct forked f;
	struct track *tr = begin(&f, NULL, victim_small, LEN);
	int fds[2];

	is_int(track_arm(tr, AT + 64 * MIB, AT + 65 * MIB, &e), -EINVAL, "no mapping: %s", e.text);
	is_int(track_arm(tr, AT + 1, AT + PAGE + 1, &e), -EINVAL, "not a page: %s", e.text);
	track_close(tr);
	forked_do(&f, victim_own_uffd, LEN);
	need(track_adopt(&tr, f.target, steal_uffd(&f), &e) == 0, "adopt");
	is_int(track_arm(tr, AT, AT + LEN, &e), -EBUSY, "its own userfaultfd: %s", e.text);
	track_close(tr);
	need(pipe(fds) == 0, "pipe");
	is_int(track_adopt(&tr, f.target, fds[0], &e), -ENOTTY, "no userfaultfd: %s", e.text);
	is_int(fcntl(fds[0], F_GETFD), -1, "is closed all the same");
	is_int(track_open(&tr, TRACK_NONE, f.target, NULL, &e), -ENOTSUP, "nothing: %s", e.text);
	track_close(NULL);
	forked_end(&f);
}

static long victim_vanish(uintptr_t arg)
{
	(void)arg;
	return munmap(page(100), 300 * PAGE) || munmap(page(1024), BLOCK);
}

static void test_vanish(void)
{
	struct ranges written = RANGES_INIT;
	struct err e;
	struct forked f;
	struct track *tr = begin(&f, NULL, victim_small, LEN);

	forked_do(&f, victim_fill, LEN);
	look(tr, LEN, true, &written);
	forked_do(&f, victim_vanish, 0);
	look(tr, LEN, true, &written);
	is_int(ranges_bytes(&written), 0, "what is gone is not told to a round");
	look(tr, LEN, false, &written);
	ok(true, "nor does it break the stop's");
	kill(f.pid, SIGKILL);
	waitid(P_PID, (id_t)f.pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	ranges_clear(&written);
	(void)track_scan(tr, AT, AT + LEN, true, &written, &e);
	is_int(written.n, 0, "a dead one tells nothing");
	is_int(track_arm(tr, AT, AT + LEN, &e), -ESRCH, "and cannot be armed: %s", e.text);
	ranges_free(&written);
	end(&f, tr);
}

static void test_can(void)
{
	static const struct {
		uint32_t flags;
		bool wp, soft;
	} rows[] = {
		{ VMA_READ | VMA_WRITE, true, true },
		{ 0, true, true },
		{ VMA_READ | VMA_FILE | VMA_DELETED, true, true },
		{ VMA_STACK | VMA_ANON | VMA_KNOWN | VMA_DONTDUMP, true, true },
		{ VMA_SHARED, false, false },
		{ VMA_HUGETLB, false, false },
		{ VMA_SPECIAL, false, false },
		{ VMA_IO, false, false },
		{ VMA_UFFD, false, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vma v = { .flags = rows[i].flags };
		const char *why = NULL;

		is_int(track_can(TRACK_WP, &v, &why), rows[i].wp, "row %zu", i);
		is_int(why == NULL, rows[i].wp, "a reason");
		is_int(track_can(TRACK_SOFT_DIRTY, &v, NULL), rows[i].soft, "soft-dirty: %zu", i);
		is_int(track_can(TRACK_NONE, &v, NULL), false, "nothing at all: row %zu", i);
	}
}

/* otherwise: where the kernel has no asynchronous write protection. */
static void best_is(const char *mask, enum track_kind want, enum track_kind otherwise)
{
	struct caps *caps, *all;

	need(caps_create(&caps, mask, NULL) == 0 && caps_create(&all, NULL, NULL) == 0, "caps");
	if (!caps_has(all, FACT_UFFD_WP_ASYNC))
		want = otherwise;
	caps_destroy(all);
	if (want == TRACK_SOFT_DIRTY && !caps_has(caps, FACT_SOFT_DIRTY))
		want = TRACK_NONE;
	is_int(track_best(caps), want, "without %s", mask ? mask : "nothing");
	caps_destroy(caps);
}

static void test_best(void)
{
	best_is(NULL, TRACK_WP, TRACK_SOFT_DIRTY);
	best_is("wp_holes,pagemap_frames", TRACK_WP, TRACK_NONE);
	best_is("soft_dirty", TRACK_WP, TRACK_NONE);
	best_is("uffd_wp_async", TRACK_SOFT_DIRTY, TRACK_SOFT_DIRTY);
	best_is("pidfd_getfd", TRACK_SOFT_DIRTY, TRACK_SOFT_DIRTY);
	best_is("pagemap_scan", TRACK_SOFT_DIRTY, TRACK_SOFT_DIRTY);
	best_is("pagemap_scan,pagemap_frames", TRACK_NONE, TRACK_NONE);
	best_is("uffd_wp_async,soft_dirty", TRACK_NONE, TRACK_NONE);
}

/* ---------------------------------------------------------------- soft-dirty */

static void test_soft_dirty(const void *arg)
{
	struct ranges written = RANGES_INIT;
	struct track *tr = NULL;
	struct err e = { "" };
	struct forked f;
	bool real;

	forked_start(&f, *(const char *const *)arg);
	real = caps_has(f.caps, FACT_SOFT_DIRTY);
	forked_do(&f, victim_small, LEN);
	forked_do(&f, victim_fill, LEN / 2);
	forked_open(&f);
	is_int(track_open(&tr, TRACK_SOFT_DIRTY, f.target, NULL, &e), 0, "open %s", e.text);
	need(tr, "open");
	is_int(track_kind(tr), TRACK_SOFT_DIRTY, "kind");
	is_int(track_arm(tr, AT, AT + LEN, &e), 0, "arm");
	look(tr, LEN / 4, true, &written);
	is_int(ranges_bytes(&written), LEN / 4, "the first scan tells all");
	look(tr, LEN / 4, true, &written);
	is_int(ranges_bytes(&written), 0, "the second nothing");
	look(tr, LEN, true, &written);
	is_int(ranges_bytes(&written), LEN - LEN / 4, "all that was not scanned before");
	look(tr, LEN, true, &written);
	is_int(ranges_bytes(&written), LEN / 2, "then what is not there");
	forked_do(&f, deed_drop_page, 0);
	look(tr, LEN, true, &written);
	ok(ranges_has(&written, AT + 10 * PAGE), "what was dropped");
	forked_do(&f, victim_read, 10);
	look(tr, LEN, true, &written);
	ok(ranges_has(&written, AT + 10 * PAGE), "also when it is the zero page now");
	forked_do(&f, victim_write, 20);
	look(tr, LEN, true, &written);
	if (real)
		ok(ranges_has(&written, AT + 20 * PAGE), "a write");
	ranges_free(&written);
	end(&f, tr);
}

/* -------------------------------------------------------------- other processes */

/* Opened by a call in a stop, of victims that look whether they are harmed. */
static int act_track(struct remote *r, struct call *c)
{
	return track_open(r->arg, TRACK_WP, r->k.target, c, &r->err);
}

struct prey {
	const char *victim;
	unsigned habits;
};

static void track_all(struct track *tr, const struct maps *m, struct ranges *written, bool again)
{
	struct err e = { "" };

	ranges_clear(written);
	for (size_t i = 0; i < m->n; i++)
		if (track_can(TRACK_WP, &m->v[i], NULL) &&
		    track_scan(tr, m->v[i].start, m->v[i].end, again, written, &e) < 0)
			bail("%s", e.text);
}

static void test_victim(const void *arg)
{
	const struct prey *p = arg;
	struct ranges written = RANGES_INIT;
	struct track *tr = NULL;
	struct victim v;
	struct remote r;
	unsigned armed = 0;
	uint64_t first;

	victim_begin(&v, p->habits, "%s", p->victim);
	remote_open(&r, v.pid, act_track);
	r.arg = &tr;
	is_int(remote_once(&r), 0, "opened: %s", r.err.text);
	need(tr, "track");
	diag("the call took %llu us", (unsigned long long)r.act_ns / 1000);
	need(maps_read(r.k.target, MAPS_SMAPS, &r.maps, &r.err) == 0, "maps");
	for (size_t i = 0; i < r.maps.n; i++)
		if (track_can(TRACK_WP, &r.maps.v[i], NULL))
			armed += track_arm(tr, r.maps.v[i].start, r.maps.v[i].end, &r.err) == 0;
	ok(armed > 5, "%u of %zu mappings are tracked", armed, r.maps.n);
	track_all(tr, &r.maps, &written, true);
	first = ranges_bytes(&written);
	track_all(tr, &r.maps, &written, true);
	ok(ranges_bytes(&written) < first, "%llu bytes at first, then %llu",
	   (unsigned long long)first, (unsigned long long)ranges_bytes(&written));
	track_all(tr, &r.maps, &written, false);
	track_close(tr);
	ranges_free(&written);
	remote_close(&r);
	is_str(victim_harm(&v), NULL, "it is not harmed");
	victim_end(&v);
}

#ifdef DECANT_FAULTS
static int act_track_and_close(struct remote *r, struct call *c)
{
	struct track *tr = NULL;
	int ret = track_open(&tr, TRACK_WP, r->k.target, c, &r->err);

	track_close(tr);
	return ret;
}

/* We die at each step: no descriptor is left, no child. */
static void test_deaths(const void *arg)
{
	const struct prey *p = arg;
	struct victim v;
	struct sweep s = { .v = &v, .act = act_track_and_close, .first = 1,
			   .step = kit_full() ? 1 : 3 };

	victim_begin(&v, p->habits, "%s", p->victim);
	remote_sweep(&s);
	is_int(s.whole, true, "to the end: %u steps", s.steps);
	is_int(s.harmed, 0, "%u deaths, harmed: %s", s.deaths, s.what);
	ok(s.deaths > 10, "%u deaths", s.deaths);
	victim_end(&v);
}
#endif

static const struct prey preys[] = {
	{ "life threads --n 9", 0 },
	{ "life leader", 0 },
	{ "life seccomp", 0 },
	{ "life waiter --ms 1", VICTIM_FAMILY },
	{ "life ending --n 3", VICTIM_MAPS | VICTIM_THREADS },
	{ "blocker epoll_wait --ms 4", 0 },
	{ "stacks plain --as-init", 0 },
};

/* ---------------------------------------------------------------------- time */

#define GIB (1024 * MIB)

/* How long the longest of a thread's mmap and munmap took. */
static _Atomic uint64_t *stall_ns;

static void *thread_maps(void *arg)
{
	for (;;) {
		uint64_t t = kit_now_ns();
		char *p = mmap(NULL, 16 * PAGE, RW, ANON, -1, 0);

		if (p == MAP_FAILED)
			_exit(9);
		*p = 1;
		munmap(p, 16 * PAGE);
		t = kit_now_ns() - t;
		if (t > *stall_ns)
			*stall_ns = t;
	}
	return arg;
}

static long victim_gib(uintptr_t huge)
{
	pthread_t t;
	char *p = put(0, GIB, RW, ANON);

	madvise(p, GIB, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(p, 1, GIB);
	return pthread_create(&t, NULL, thread_maps, NULL);
}

static void time_end(const char *what, uint64_t since)
{
	uint64_t took = kit_now_ns() - since, stall;

	kit_sleep_ms(20); /* for one that waits */
	stall = *stall_ns;
	diag("1 GiB, %s: %llu us; longest mmap+munmap meanwhile %llu us", what,
	     (unsigned long long)took / 1000, (unsigned long long)stall / 1000);
	*stall_ns = 0;
}

static void test_time(const void *arg)
{
	bool huge = *(const bool *)arg;
	struct ranges written = RANGES_INIT;
	struct track *tr;
	struct forked f;
	uint64_t t;

	stall_ns = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	forked_start(&f, NULL);
	forked_do(&f, victim_gib, huge);
	forked_open(&f);
	for (int once = 0; once < 2; once++) {
		need(track_adopt(&tr, f.target, steal_uffd(&f), NULL) == 0, "adopt");
		time_end("nothing", kit_now_ns());
		t = kit_now_ns();
		is_int(track_arm(tr, AT, AT + GIB, NULL), 0, "arm");
		time_end("arm", t);
		t = kit_now_ns();
		look(tr, GIB, true, &written);
		time_end("first round", t);
		t = kit_now_ns();
		look(tr, GIB, true, &written);
		time_end("next round", t);
		t = kit_now_ns();
		look(tr, GIB, false, &written);
		time_end("the stop's scan", t);
		if (once) /* for comparison: the kernel does it all at the last close */
			tr->armed.n = 0;
#ifdef DECANT_FAULTS
		sys_fault_arm(&(struct sys_fault_plan){ .nth = 0, .name = "uffdio_unregister" });
#endif
		t = kit_now_ns();
		track_close(tr);
#ifdef DECANT_FAULTS
		if (!once)
			ok(sys_fault_calls() >= 128, "left in %lu pieces", sys_fault_calls());
		sys_fault_disarm();
#endif
		time_end(once ? "close at once" : "close", t);
	}
	ranges_free(&written);
	forked_end(&f);
}

/* -------------------------------------------------------------------- faults */

#ifdef DECANT_FAULTS
static int faulty_run(struct forked *f, int uffd, struct ranges *written)
{
	struct track *tr = NULL;
	struct err e = { "" };
	int r = track_adopt(&tr, f->target, uffd, &e);

	if (r == 0)
		r = track_arm(tr, AT, AT + LEN, &e);
	if (r == 0)
		r = track_scan(tr, AT, AT + LEN, true, written, &e);
	if (r == 0)
		r = track_scan(tr, AT, AT + LEN, false, written, &e);
	if (r < 0 && !e.text[0])
		bail("no sentence for %d", r);
	track_close(tr);
	return r;
}

static unsigned fds_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_faults(void)
{
	struct ranges first = RANGES_INIT;
	unsigned long n;
	unsigned before;
	struct forked f;
	int r;

	forked_start(&f, NULL);
	forked_do(&f, victim_small, LEN);
	forked_open(&f);
	before = fds_open();
	r = faulty_run(&f, steal_uffd(&f), &first);
	is_int(r, 0, "facts are known now");
	ranges_free(&first);
	for (n = 1; n < 500; n++) {
		struct ranges written = RANGES_INIT;
		int uffd = steal_uffd(&f);
		bool fired;

		sys_fault_arm(&(struct sys_fault_plan){ .nth = n });
		r = faulty_run(&f, uffd, &written);
		sys_fault_disarm();
		fired = sys_fault_fired() > 0;
		ok(r <= 0, "call %lu (%s): %d", n, fired ? sys_fault_fired_name() : "", r);
		is_int(fds_open(), before, "no descriptor is left");
		ranges_free(&written);
		if (!fired)
			break;
	}
	ok(n > 6 && n < 500, "%lu calls", n - 1);
	forked_end(&f);
}
#endif

int main(void)
{
	struct caps *caps;
	bool can;

	need_root();
	kit_start(240);
	need(caps_create(&caps, NULL, NULL) == 0, "caps");
	can = track_best(caps) == TRACK_WP;
	caps_destroy(caps);
	tap_case("what can be tracked", test_can);
	tap_case("the best way", test_best);
	for (size_t i = 0; i < 2; i++)
		kit_case(test_soft_dirty, &(const char *){ i ? "pagemap_scan" : NULL },
			 "soft-dirty%s", i ? ", by entries" : "");
	if (!can) {
		skip("this kernel has no asynchronous write protection");
		return done();
	}
	for (size_t i = 0; i < 2; i++)
		kit_case(test_plain, &masks[i], "random writes, without %s", mask_name(&masks[i]));
	tap_case("random writes, of nobody by nobody", test_nobody);
	test_deeds();
	tap_case("swapped out", test_swapped);
	(void)swapoff(SWAP); /* if the case died */
	(void)unlink(SWAP);
	tap_case("4 TiB of nothing", test_sparse);
	tap_case("huge pages", test_huge);
	tap_case("closing", test_close);
	tap_case("refused", test_refused);
	tap_case("memory that vanishes", test_vanish);
	for (size_t i = 0; i < sizeof(preys) / sizeof(preys[0]); i++)
		kit_case(test_victim, &preys[i], "of %s", preys[i].victim);
#ifdef DECANT_FAULTS
	for (size_t i = 0; i < 2; i++)
		kit_case(test_deaths, &preys[i], "deaths, %s", preys[i].victim);
#endif
	kit_case(test_time, &(bool){ false }, "time");
	kit_case(test_time, &(bool){ true }, "time, huge pages");
#ifdef DECANT_FAULTS
	tap_case("each call fails once", test_faults);
#endif
	return done();
}
