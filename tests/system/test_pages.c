/* SPDX-License-Identifier: MIT */
/*
 * process/pages: what is there in a victim's memory, and what is in it; by
 * PAGEMAP_SCAN and by the entries, with and without process_vm_readv().
 */
#include <fcntl.h>
#include <grp.h>
#include <liburing.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <sys/syscall.h>

#include "lib/forked.h"
#include "lib/kit.h"
#include "process/entry.h"
#include "process/maps.h"
#include "process/pages.h"
#include "sys/fault.h"
#include "tap.h"
#include "uapi/pagemap.h"
#include "uapi/userfaultfd.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define PAGE 4096ul
#define MIB (1ul << 20)
#define AT ((uintptr_t)FORKED_AT)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static const char *const masks[] = { NULL, "pagemap_scan", "pagemap_frames",
				     "pagemap_scan,pagemap_frames", "process_vm" };
#define MASKS (sizeof(masks) / sizeof(masks[0]))

static const char *mask_name(const void *arg)
{
	const char *mask = *(const char *const *)arg;

	return mask ? mask : "nothing";
}

/* Masked by the case, or not of this kernel: all of these facts. */
static bool lacks(const void *arg, const char *facts)
{
	static struct caps *kernel;
	const char *mask = *(const char *const *)arg;
	bool lacking = true;

	need(kernel || caps_create(&kernel, NULL, NULL) == 0, "caps");
	for (enum fact f = FACT_NONE + 1; f < FACT_MAX; f++)
		if (strstr(facts, caps_name(f)) && caps_has(kernel, f))
			lacking &= mask && strstr(mask, caps_name(f));
	return lacking;
}

static char *put(size_t at, size_t len, int prot, int flags)
{
	char *p = mmap(FORKED_AT + at, len, prot, flags | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		_exit(9);
	return p;
}

/* What belongs in each page: its own address and a bit more. */
static void fill(char *p, size_t len)
{
	for (size_t i = 0; i < len; i += 8)
		*(uint64_t *)(p + i) = (uintptr_t)p + i + 1;
}

/* ---------------------------------------------------------------- the scan */

static struct ranges scan(struct forked *f, size_t at, size_t len, struct pages_found *found)
{
	struct ranges there = RANGES_INIT;
	struct pages_found none = { .there = NULL };
	struct err e = { "" };

	if (!found)
		found = &none;
	found->there = &there;
	is_int(pages_scan(f->target, AT + at, AT + at + len, found, &e), 0, "scan %s", e.text);
	return there;
}

/* want: "0-3 7 9-10", pages from at on. */
static void there_is(struct forked *f, size_t at, size_t len, const char *want)
{
	struct ranges there = scan(f, at, len, NULL);
	char got[400] = "";

	for (size_t i = 0; i < there.n; i++) {
		unsigned long from = (there.v[i].start - AT - at) / PAGE;
		unsigned long to = (there.v[i].end - AT - at) / PAGE - 1;

		snprintf(got + strlen(got), sizeof(got) - strlen(got),
			 from == to ? "%s%lu" : "%s%lu-%lu", i ? " " : "", from, to);
	}
	is_str(got, want, "what is there");
	ranges_free(&there);
}

static long victim_plain(uintptr_t arg)
{
	char *p = put(0, 64 * PAGE, RW, ANON);
	volatile char sink;

	(void)arg;
	madvise(p, 64 * PAGE, MADV_NOHUGEPAGE);
	fill(p + PAGE, 3 * PAGE);            /* 1-3 */
	sink = p[5 * PAGE];                  /* 5: the zero page */
	fill(p + 6 * PAGE, PAGE);            /* 6, then not there */
	fill(p + 63 * PAGE, PAGE);
	madvise(p + 6 * PAGE, PAGE, MADV_DONTNEED);
	fill(p + 10 * PAGE, PAGE);           /* there, though it may not be read */
	mprotect(p + 10 * PAGE, PAGE, PROT_NONE);
	return sink;
}

static void test_plain(const void *arg)
{
	bool zero_counts = lacks(arg, "pagemap_scan,pagemap_frames");
	struct forked f;

	forked_start(&f, *(const char *const *)arg);
	forked_do(&f, victim_plain, 0);
	forked_open(&f);
	there_is(&f, 0, 64 * PAGE, zero_counts ? "1-3 5 10 63" : "1-3 10 63");
	there_is(&f, 2 * PAGE, 2 * PAGE, "0-1");
	there_is(&f, 0, PAGE, "");
	there_is(&f, PAGE, 0, "");
	there_is(&f, 1000 * MIB, 100 * MIB, "");
	forked_end(&f);
}

/* One without any right looks at another of the same user. */
static void test_nobody(const void *arg)
{
	struct forked f;

	if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
	    setresuid(65534, 65534, 65534))
		bail("cannot become nobody");
	prctl(PR_SET_DUMPABLE, 1);
	forked_start(&f, *(const char *const *)arg);
	is_int(caps_has(f.caps, FACT_PAGEMAP_FRAMES), false, "frames are not seen");
	forked_do(&f, victim_plain, 0);
	forked_open(&f);
	there_is(&f, 0, 64 * PAGE, lacks(arg, "pagemap_scan") ? "1-3 5 10 63" : "1-3 10 63");
	forked_end(&f);
}

#define SHARED_LEN (16 * PAGE)

static long victim_file(uintptr_t fd)
{
	char *p = mmap(FORKED_AT, SHARED_LEN, RW, MAP_PRIVATE | MAP_FIXED, (int)fd, 0);
	char *q = mmap(FORKED_AT + MIB, SHARED_LEN, RW, MAP_SHARED | MAP_FIXED, (int)fd, 0);

	if (p == MAP_FAILED || q == MAP_FAILED)
		_exit(9);
	madvise(p, SHARED_LEN, MADV_RANDOM);
	fill(p + 2 * PAGE, PAGE);
	fill(q + 4 * PAGE, 2 * PAGE);
	return *(volatile char *)(p + 8 * PAGE);
}

static void test_file(const void *arg)
{
	struct ranges there, file = RANGES_INIT;
	struct pages_found found = { .file = &file };
	int fd = memfd_create("file", 0);
	struct forked f;

	need(fd >= 0 && ftruncate(fd, SHARED_LEN) == 0, "memfd");
	forked_start(&f, *(const char *const *)arg);
	forked_do(&f, victim_file, (uintptr_t)fd);
	forked_open(&f);
	there = scan(&f, 0, 2 * MIB, &found);
	ok(ranges_has(&there, AT + 2 * PAGE), "a page of its own is there");
	ok(!ranges_has(&file, AT + 2 * PAGE), "and is not the file's");
	ok(ranges_has(&there, AT + 8 * PAGE), "a page that was read is there");
	ok(ranges_has(&file, AT + 8 * PAGE), "and is the file's");
	ok(ranges_has(&file, AT + MIB + 4 * PAGE) && ranges_has(&file, AT + MIB + 5 * PAGE),
	   "and so are shared ones");
	ok(!ranges_has(&there, AT + PAGE) && !ranges_has(&there, AT + MIB), "others are not there");
	is_int(found.swapped_bytes, 0, "nothing is swapped");
	ranges_free(&there);
	ranges_free(&file);
	forked_end(&f);
}

static long victim_huge(uintptr_t arg)
{
	char *p = put(0, 16 * MIB, RW, ANON);

	(void)arg;
	madvise(p, 16 * MIB, MADV_HUGEPAGE);
	fill(p + 2 * MIB, PAGE);
	fill(p + 6 * MIB, 4 * MIB);
	return *(volatile char *)(p + 12 * MIB); /* the huge zero page */
}

static void test_huge(const void *arg)
{
	struct pages_found found = { .there = NULL };
	struct ranges there;
	struct forked f;

	forked_start(&f, *(const char *const *)arg);
	forked_do(&f, victim_huge, 0);
	forked_open(&f);
	there = scan(&f, 0, 12 * MIB, &found);
	if (!lacks(arg, "pagemap_scan")) {
		if (found.huge_bytes == 0)
			skip("no huge pages to be had");
		is_int(found.huge_bytes, 6 * MIB, "three huge pages");
		ok(!ranges_has(&there, AT + 12 * MIB), "the huge zero page is not there");
	}
	is_int(ranges_bytes(&there), 6 * MIB, "all of them are there");
	is_int(there.n, 2, "in two pieces");
	ranges_free(&there);
	forked_end(&f);
}

static long victim_hugetlb(uintptr_t arg)
{
	char *p = mmap(FORKED_AT, 8 * MIB, RW, ANON | MAP_FIXED | MAP_HUGETLB, -1, 0);

	(void)arg;
	if (p == MAP_FAILED)
		return -errno;
	fill(p + 2 * MIB, PAGE);
	fill(p + 6 * MIB, 2 * MIB);
	return 0;
}

/* Pages beyond those that the machine sets apart; for this case only. */
static long hugetlb_allow(long want)
{
	const char *path = "/proc/sys/vm/nr_overcommit_hugepages";
	char text[32] = "", new[32];
	int fd = open(path, O_RDWR);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	snprintf(new, sizeof(new), "%ld", want);
	if (n > 0 && atol(text) != want)
		n = pwrite(fd, new, strlen(new), 0);
	close(fd);
	return n > 0 ? atol(text) : -1;
}

static void test_hugetlb(const void *arg)
{
	static char buf[2 * MIB];
	struct pages_found found = { .there = NULL };
	struct ranges there;
	struct forked f;
	long before = hugetlb_allow(16), r;

	forked_start(&f, *(const char *const *)arg);
	r = forked_do(&f, victim_hugetlb, 0);
	if (before < 16)
		hugetlb_allow(before < 0 ? 0 : before);
	if (r < 0)
		skip("no huge pages to be had: %s", strerror((int)-r));
	forked_open(&f);
	there = scan(&f, 0, 8 * MIB, &found);
	is_int(ranges_bytes(&there), 4 * MIB, "two are there");
	ok(ranges_has(&there, AT + 2 * MIB) && ranges_has(&there, AT + 6 * MIB), "these");
	if (!lacks(arg, "pagemap_scan"))
		is_int(found.huge_bytes, 4 * MIB, "huge");
	is_int(pages_read(f.target, PAGES_LIVE, AT + 6 * MIB, buf, sizeof(buf)), sizeof(buf),
	       "read");
	ok(*(uint64_t *)(buf + 8 * PAGE) == AT + 6 * MIB + 8 * PAGE + 1, "is right");
	ranges_free(&there);
	forked_end(&f);
}

/* A page that is swapped out, if this machine has somewhere to put it. */
#define SWAP "./pages-swap"

static bool swap_on(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	char command[200];

	if (fd < 0)
		return false;
	if (posix_fallocate(fd, 0, 16 * MIB) != 0)
		return false;
	close(fd);
	snprintf(command, sizeof(command), "mkswap %s >/dev/null 2>&1", path);
	return system(command) == 0 && swapon(path, 0) == 0;
}

static long victim_swapped(uintptr_t arg)
{
	char *p = put(0, 64 * PAGE, RW, ANON);

	(void)arg;
	madvise(p, 64 * PAGE, MADV_NOHUGEPAGE);
	fill(p + 8 * PAGE, 8 * PAGE);
	return madvise(p, 64 * PAGE, MADV_PAGEOUT);
}

static void test_swapped(const void *arg)
{
	char buf[8 * PAGE];
	struct pages_found found = { .there = NULL };
	struct ranges there;
	struct forked f;
	bool on = swap_on(SWAP);

	if (!on)
		skip("no swap file can be made here");
	forked_start(&f, *(const char *const *)arg);
	forked_do(&f, victim_swapped, 0);
	forked_open(&f);
	there = scan(&f, 0, 64 * PAGE, &found);
	is_int(ranges_bytes(&there), 8 * PAGE, "is there");
	ok(found.swapped_bytes > 0, "and swapped: %llu bytes",
	   (unsigned long long)found.swapped_bytes);
	is_int(pages_read(f.target, PAGES_LIVE, AT + 8 * PAGE, buf, sizeof(buf)), sizeof(buf),
	       "read");
	for (size_t i = 0; i < sizeof(buf); i += 8)
		if (*(uint64_t *)(buf + i) != AT + 8 * PAGE + i + 1)
			bail("wrong bytes at %zu", i);
	ranges_free(&there);
	forked_end(&f);
	kit_must(swapoff(SWAP));
}

/* Markers of write protection and guard pages look like swapped pages. */
static long victim_markers(uintptr_t arg)
{
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = { .api = UFFD_API,
		.features = UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = { .range = { AT, 64 * PAGE },
		.mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .range = { AT, 32 * PAGE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP };
	char *p = put(0, 64 * PAGE, RW, ANON);

	(void)arg;
	madvise(p, 64 * PAGE, MADV_NOHUGEPAGE);
	fill(p + 4 * PAGE, PAGE);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg) ||
	    ioctl(uffd, UFFDIO_WRITEPROTECT, &wp))
		return -1;
	p = put(MIB, 64 * PAGE, RW, ANON);
	fill(p, 2 * PAGE);
	return madvise(p + PAGE, 4 * PAGE, MADV_GUARD_INSTALL) == 0 ? 2 : 1;
}

static void test_markers(const void *arg)
{
	bool blind = lacks(arg, "pagemap_frames");
	struct forked f;
	long r;

	forked_start(&f, *(const char *const *)arg);
	r = forked_do(&f, victim_markers, 0);
	forked_open(&f);
	if (r < 1)
		skip("this kernel cannot write-protect holes");
	there_is(&f, 0, 64 * PAGE, blind ? "0-31" : "4");
	if (r == 2)
		there_is(&f, MIB, 64 * PAGE, "0");
	forked_end(&f);
}

/* A long way through nothing must be a short time; an island must be found. */
static long victim_sparse(uintptr_t arg)
{
	char *p = put(0, 1ul << 42, RW, ANON | MAP_NORESERVE);

	(void)arg;
	for (size_t at = 0; at < 1ul << 42; at += 1ul << 38)
		fill(p + at + 5 * PAGE, 2 * PAGE);
	return 0;
}

static long victim_tables(uintptr_t arg)
{
	(void)arg;
	return (long)kit_status("VmPTE");
}

static void test_sparse(void)
{
	struct ranges there;
	uint64_t before;
	struct forked f;
	long tables;

	forked_start(&f, NULL);
	forked_do(&f, victim_sparse, 0);
	forked_open(&f);
	tables = forked_do(&f, victim_tables, 0);
	before = kit_now_ns();
	there = scan(&f, 0, 1ul << 42, NULL);
	diag("4 TiB with 16 islands: %llu us", (unsigned long long)(kit_now_ns() - before) / 1000);
	is_int(there.n, 16, "islands");
	/* A huge page each, where those are always given. */
	ok(ranges_bytes(&there) == 32 * PAGE || ranges_bytes(&there) == 32 * MIB, "their bytes");
	/* The victim needs one or another for itself. */
	ok(forked_do(&f, victim_tables, 0) - tables <= 64, "no page tables are made");
	ranges_free(&there);
	forked_end(&f);
}

/* More ranges than one call gives, from both ways the same, and what mincore() says. */
static long victim_random(uintptr_t seed)
{
	char *p = put(0, 32 * MIB, RW, ANON);

	madvise(p, 32 * MIB, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 32 * MIB / PAGE; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		if (seed >> 60 < 7)
			fill(p + i * PAGE, PAGE);
	}
	return 0;
}

static long victim_is_there(uintptr_t page)
{
	unsigned char vec = 0;

	if (mincore(FORKED_AT + page * PAGE, PAGE, &vec))
		_exit(9);
	return vec & 1;
}

static void test_random(const void *arg)
{
	uint64_t bytes, wrong = 0;
	struct ranges there;
	struct forked f;

	forked_start(&f, *(const char *const *)arg);
	forked_do(&f, victim_random, kit_random());
	forked_open(&f);
	there = scan(&f, 0, 32 * MIB, NULL);
	bytes = ranges_bytes(&there);
	for (size_t i = 0; i < 32 * MIB / PAGE; i++)
		wrong += ranges_has(&there, AT + i * PAGE) !=
			 (forked_do(&f, victim_is_there, i) != 0);
	ok(there.n > 1000 && bytes > MIB, "%zu ranges, %llu bytes", there.n,
	   (unsigned long long)bytes);
	is_int(wrong, 0, "each page as the victim sees it");
	ranges_free(&there);
	forked_end(&f);
}

/* ------------------------------------------------------------------ reading */

static long victim_readable(uintptr_t arg)
{
	char *p = put(0, 4 * MIB, RW, ANON);

	(void)arg;
	madvise(p, 4 * MIB, MADV_NOHUGEPAGE);
	fill(p, 4 * MIB);
	mprotect(p + 16 * PAGE, 8 * PAGE, PROT_NONE);
	munmap(p + 40 * PAGE, 2 * PAGE);
	munmap(p + 300 * PAGE, PAGE);
	return 0;
}

static bool good(const char *buf, uint64_t addr, size_t len)
{
	for (size_t i = 0; i < len; i += 8)
		if (*(const uint64_t *)(buf + i) != addr + i + 1)
			return false;
	return true;
}

static bool zero(const char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i])
			return false;
	return true;
}

static void read_some(struct forked *f, enum pages_how how)
{
	static char buf[4 * MIB];
	struct target *t = f->target;

	is_int(pages_read(t, how, AT, buf, 64 * PAGE), 40 * PAGE, "up to what is not mapped");
	ok(good(buf, AT, 40 * PAGE), "with the pages that may not be read (PROT_NONE)");
	is_int(pages_read(t, how, AT + 40 * PAGE, buf, PAGE), -EIO, "nothing there");
	is_int(pages_read(t, how, AT + 41 * PAGE, buf, 2 * PAGE), -EIO, "nor at the first");
	is_int(pages_read(t, how, AT + 42 * PAGE, buf, 258 * PAGE), 258 * PAGE, "exactly");
	ok(good(buf, AT + 42 * PAGE, 258 * PAGE), "good bytes");
	is_int(pages_read(t, how, AT + 17 * PAGE + 8, buf, 16), 16, "within a page");
	ok(good(buf, AT + 17 * PAGE + 8, 16), "good bytes");
	is_int(pages_read(t, how, AT, buf, 0), 0, "no bytes");
	is_int(pages_read(t, how, 0, buf, PAGE), -EIO, "at 0");
	ok(pages_read(t, how, UINT64_MAX - PAGE + 1, buf, PAGE) < 0, "at the end of all");
}

static void gather_some(struct forked *f, enum pages_how how)
{
	static char buf[8 * MIB];
	const struct range v[] = {
		{ AT, AT + 10 * PAGE },                  /* good */
		{ AT + 15 * PAGE, AT + 25 * PAGE },      /* PROT_NONE in the middle */
		{ AT + 39 * PAGE, AT + 43 * PAGE },      /* two pages that are not mapped */
		{ AT + 300 * PAGE, AT + 301 * PAGE },    /* not mapped */
		{ AT + 301 * PAGE, AT + 1024 * PAGE },
		{ AT + 4 * MIB - PAGE, AT + 4 * MIB + PAGE },
	};
	struct ranges bad = RANGES_INIT;

	need(ranges_reserve(&bad, 16) == 0, "memory");
	memset(buf, 0x77, sizeof(buf));
	is_int(pages_gather(f->target, how, v, 6, buf, &bad), 0, "gather");
	ok(good(buf, AT, 10 * PAGE), "first");
	ok(good(buf + 10 * PAGE, AT + 15 * PAGE, 10 * PAGE), "pages that may not be read");
	ok(good(buf + 20 * PAGE, AT + 39 * PAGE, PAGE), "before the hole");
	ok(zero(buf + 21 * PAGE, 2 * PAGE), "the hole is 0");
	ok(good(buf + 23 * PAGE, AT + 42 * PAGE, PAGE), "behind the hole");
	ok(zero(buf + 24 * PAGE, PAGE), "a range that is a hole");
	ok(good(buf + 25 * PAGE, AT + 301 * PAGE, 723 * PAGE), "a long one");
	ok(good(buf + 748 * PAGE, AT + 4 * MIB - PAGE, PAGE), "the last page");
	ok(zero(buf + 749 * PAGE, PAGE), "and what is behind it");
	is_int((unsigned char)buf[750 * PAGE], 0x77, "not a byte more");
	is_int(bad.n, 3, "three ranges cannot be read");
	ok(bad.n == 3 && bad.v[0].start == AT + 40 * PAGE && bad.v[0].end == AT + 42 * PAGE &&
	   bad.v[1].start == AT + 300 * PAGE && bad.v[1].end == AT + 301 * PAGE &&
	   bad.v[2].start == AT + 4 * MIB && bad.v[2].end == AT + 4 * MIB + PAGE, "these");
	is_int(pages_gather(f->target, how, v, 0, buf, &bad), 0, "nothing");
	is_int(pages_gather(f->target, how, v, 6, buf, NULL), 0, "without wanting to know");
	ranges_free(&bad);
}

/* As many single pages as make several calls. */
static void gather_many(struct forked *f, enum pages_how how)
{
	static struct range v[4000];
	static char buf[4000 * PAGE];
	struct ranges bad = RANGES_INIT;
	unsigned wrong = 0;

	for (unsigned i = 0; i < 4000; i++) {
		uint64_t at = AT + (i * 7 % 1024) * PAGE;

		v[i] = (struct range){ at, at + PAGE };
	}
	is_int(pages_gather(f->target, how, v, 4000, buf, &bad), 0, "gather");
	for (unsigned i = 0; i < 4000; i++) {
		bool hole = ranges_has(&bad, v[i].start);

		wrong += hole ? !zero(buf + i * PAGE, PAGE)
			      : !good(buf + i * PAGE, v[i].start, PAGE);
	}
	is_int(wrong, 0, "all pages");
	is_int(ranges_bytes(&bad), 3 * PAGE, "but three");
	ranges_free(&bad);
}

static void test_read(const void *arg)
{
	struct forked f;

	forked_start(&f, *(const char *const *)arg);
	forked_do(&f, victim_readable, 0);
	forked_open(&f);
	for (int how = PAGES_LIVE; how <= PAGES_SHADOW; how++) {
		read_some(&f, how);
		gather_some(&f, how);
		gather_many(&f, how);
	}
	kill(f.pid, SIGKILL);
	waitid(P_PID, (id_t)f.pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	is_int(pages_read(f.target, PAGES_LIVE, AT, (char[16]){ 0 }, 16), -ESRCH, "of a zombie");
	is_int(pages_gather(f.target, PAGES_LIVE, &(struct range){ AT, AT + PAGE }, 1,
			    (char[PAGE]){ 0 }, NULL), -ESRCH, "gather");
	forked_end(&f);
}

/* Nothing that was not there is there afterwards. */
static void test_reads_touch_nothing(void)
{
	static char buf[64 * PAGE];
	struct ranges there;
	struct forked f;

	forked_start(&f, NULL);
	forked_do(&f, victim_plain, 0);
	forked_open(&f);
	there = scan(&f, 0, 64 * PAGE, NULL);
	is_int(pages_gather(f.target, PAGES_LIVE, there.v, there.n, buf, NULL), 0, "gather");
	is_int(forked_do(&f, victim_is_there, 20), 0, "control: a page that was not there is not");
	there_is(&f, 0, 64 * PAGE, "1-3 10 63");
	ranges_free(&there);
	forked_end(&f);
}

/* The kernel's own mappings. */
static void test_special(void)
{
	struct maps m = MAPS_INIT;
	struct forked f;
	char buf[PAGE];
	unsigned seen = 0;

	forked_start(&f, NULL);
	forked_open(&f);
	need(maps_read(f.target, MAPS_PLAIN, &m, NULL) == 0, "maps");
	for (size_t i = 0; i < m.n; i++) {
		const struct vma *v = &m.v[i];
		int64_t n;

		if (!(v->flags & VMA_SPECIAL))
			continue;
		n = pages_read(f.target, PAGES_LIVE, v->start, buf, PAGE);
		diag("%s: %lld", maps_name(&m, v), (long long)n);
		if (v->flags & VMA_UNREADABLE)
			is_int(n, -EIO, "%s cannot be read", maps_name(&m, v));
		if (strcmp(maps_name(&m, v), "[vdso]") == 0)
			ok(n == (int64_t)PAGE && memcmp(buf, "\177ELF", 4) == 0, "the vdso can");
		seen++;
	}
	ok(seen >= 2, "%u special mappings", seen);
	maps_free(&m);
	forked_end(&f);
}

#ifdef DECANT_FAULTS
static void test_short_reads(void)
{
	struct forked f;

	forked_start(&f, NULL);
	forked_do(&f, victim_readable, 0);
	forked_open(&f);
	sys_fault_arm(&(struct sys_fault_plan){ .mode = SYS_FAULT_SHORT, .nth = 1,
						.repeat = 9999 });
	gather_some(&f, PAGES_LIVE);
	gather_some(&f, PAGES_SHADOW);
	read_some(&f, PAGES_LIVE);
	ok(sys_fault_fired() > 20, "control: calls came short");
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 1, .repeat = 9999, .error = EPERM,
						.name = "process_vm_readv" });
	gather_some(&f, PAGES_LIVE);
	read_some(&f, PAGES_LIVE);
	sys_fault_disarm();
	forked_end(&f);
}

static void test_scan_fails(const void *arg)
{
	struct ranges there = RANGES_INIT;
	struct pages_found found = { .there = &there };
	struct err e;
	struct forked f;
	unsigned long n;

	forked_start(&f, *(const char *const *)arg);
	forked_do(&f, victim_random, 1);
	forked_open(&f);
	is_int(pages_scan(f.target, AT, AT + 8 * MIB, &found, &e), 0, "facts are known now");
	for (n = 1; n < 1000; n++) {
		int r;

		ranges_free(&there);
		e.text[0] = '\0';
		sys_fault_arm(&(struct sys_fault_plan){ .nth = n });
		r = pages_scan(f.target, AT, AT + 8 * MIB, &found, &e);
		sys_fault_disarm();
		if (sys_fault_fired() == 0)
			break;
		ok(r < 0 && e.text[0], "call %lu (%s): %d %s", n, sys_fault_fired_name(), r,
		   e.text);
	}
	ok(n > 2 && n < 1000, "%lu calls", n - 1);
	ranges_free(&there);
	forked_end(&f);
}
#endif

/* ------------------------------------------------------------------- pinned */

static struct io_uring ring;

static long victim_pins(uintptr_t arg)
{
	char *p = put(0, 64 * PAGE, RW, ANON);
	struct iovec iov[] = { { p, PAGE }, { p + 8 * PAGE + 100, PAGE }, { p + 2 * PAGE, 10 } };

	(void)arg;
	if (io_uring_queue_init(8, &ring, 0) < 0)
		return -1;
	return io_uring_register_buffers(&ring, iov, 3);
}

static void test_pinned(void)
{
	struct ranges pinned = RANGES_INIT;
	struct err e = { "" };
	struct forked f;
	long r;

	forked_start(&f, NULL);
	forked_open(&f);
	is_int(pages_pinned(f.target, &pinned, &e), 0, "nothing %s", e.text);
	is_int(pinned.n, 0, "is pinned");
	r = forked_do(&f, victim_pins, 0);
	if (r == -1)
		skip("no io_uring");
	is_int(r, 0, "registered");
	is_int(pages_pinned(f.target, &pinned, &e), 0, "found %s", e.text);
	is_int(pinned.n, 3, "three buffers");
	is_int(ranges_bytes(&pinned), 4 * PAGE, "whole pages");
	ok(ranges_has(&pinned, AT) && ranges_has(&pinned, AT + 2 * PAGE) &&
	   ranges_has(&pinned, AT + 8 * PAGE) && ranges_has(&pinned, AT + 9 * PAGE), "these");
	ranges_free(&pinned);
	forked_end(&f);
}

static void test_pinned_text(void)
{
	struct ranges r = RANGES_INIT;

	is_int(pages_parse_pinned("pos:\t0\nUserFiles:\t0\n", &r), -EAGAIN, "a ring in use");
	is_int(pages_parse_pinned("x\nUserBufs:\t0\nPollList:\n", &r), 0, "no buffers");
	is_int(r.n, 0, "none");
	is_int(pages_parse_pinned("x\nUserBufs:\t5\n    0: <none>\n    1: 0x1000/1\n"
				  "12345: 0x5fff/2\n    3: 0xffffffffffffff00/4096\n"
				  "    4: 0x9000/0\nPollList:\n    5: 0xa000/4096\n", &r), 0,
	       "buffers");
	is_int(r.n, 2, "two of them make sense");
	ok(r.v[0].start == 0x1000 && r.v[0].end == 0x2000, "one page");
	ok(r.v[1].start == 0x5000 && r.v[1].end == 0x7000, "over a page's end");
	is_int(pages_parse_pinned("\nUserBufs:", &r), 0, "cut");
	is_int(pages_parse_pinned("\nUserBufs:\n ", &r), 0, "cut");
	is_int(pages_parse_pinned("\nUserBufs:\n 1: 0x10", &r), 0, "cut");
	ranges_free(&r);
}

/* ------------------------------------------------------------------ entries */

static void test_entries(void)
{
	const uint64_t p = PAGEMAP_PRESENT, s = PAGEMAP_SWAPPED, sd = PAGEMAP_SOFT_DIRTY;
	static const struct {
		uint64_t entry, zero;
		unsigned want;
	} rows[] = {
		{ 0, 0, ENTRY_WRITTEN },
		{ 0, 7, ENTRY_WRITTEN },
		{ sd, 7, ENTRY_WRITTEN },
		{ p | 1234, 7, ENTRY_THERE },
		{ p | 7, 7, ENTRY_WRITTEN },
		{ p | 7 | sd, 7, ENTRY_WRITTEN },
		{ p, 0, ENTRY_THERE },
		{ p | sd, 0, ENTRY_THERE | ENTRY_WRITTEN },
		{ p | PAGEMAP_FILE | 9, 7, ENTRY_THERE | ENTRY_FILE },
		{ p | PAGEMAP_UFFD_WP | 9, 7, ENTRY_THERE },
		{ s | 1 | 5 << 5, 7, ENTRY_THERE | ENTRY_SWAPPED },
		{ s | 1 | 5 << 5 | sd, 7, ENTRY_THERE | ENTRY_SWAPPED | ENTRY_WRITTEN },
		{ s | 31 | 1 << 5 | PAGEMAP_UFFD_WP, 7, ENTRY_WRITTEN },
		{ s | PAGEMAP_UFFD_WP, 0, ENTRY_THERE | ENTRY_SWAPPED },
		{ s | PAGEMAP_GUARD, 0, ENTRY_WRITTEN },
		{ s | PAGEMAP_GUARD | 31, 7, ENTRY_WRITTEN },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_int(entry_means(rows[i].entry, rows[i].zero), rows[i].want, "entry %zu", i);
}

/* --------------------------------------------------------------------- time */

static long victim_gib(uintptr_t huge)
{
	char *p = put(0, 1024 * MIB, RW, ANON);

	madvise(p, 1024 * MIB, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(p, 1, 1024 * MIB);
	return 0;
}

static void time_scan(struct forked *f, bool file, const char *what)
{
	struct ranges there = RANGES_INIT, of_file = RANGES_INIT;
	uint64_t best = UINT64_MAX, took;

	for (int i = 0; i < 3; i++) {
		struct pages_found found = { .there = &there, .file = file ? &of_file : NULL };

		ranges_clear(&there);
		took = kit_now_ns();
		is_int(pages_scan(f->target, AT, AT + 1024 * MIB, &found, NULL), 0, "scan");
		took = kit_now_ns() - took;
		best = took < best ? took : best;
	}
	is_int(ranges_bytes(&there), 1024 * MIB, "all of it");
	diag("1 GiB, %s: %llu us", what, (unsigned long long)best / 1000);
	ranges_free(&there);
	ranges_free(&of_file);
}

static void test_time(void)
{
	for (uintptr_t huge = 0; huge < 2; huge++) {
		struct forked f;

		forked_start(&f, NULL);
		forked_do(&f, victim_gib, huge);
		forked_open(&f);
		time_scan(&f, false, huge ? "huge pages" : "pages");
		time_scan(&f, true, huge ? "huge pages, whose" : "pages, whose");
		forked_end(&f);
	}
}

#define each_mask(fn, name)                                                     \
	do {                                                                    \
		for (size_t i_ = 0; i_ < MASKS; i_++)                           \
			kit_case(fn, &masks[i_], name ", without %s",           \
				 mask_name(&masks[i_]));                        \
	} while (0)

int main(void)
{
	need_root();
	kit_start(120);
	tap_case("entries", test_entries);
	each_mask(test_plain, "plain pages");
	kit_case(test_nobody, &masks[0], "of nobody by nobody");
	kit_case(test_nobody, &masks[1], "of nobody by nobody, by entries");
	each_mask(test_file, "pages of files");
	each_mask(test_huge, "huge pages");
	kit_case(test_hugetlb, &masks[0], "hugetlb");
	kit_case(test_hugetlb, &masks[1], "hugetlb, by entries");
	each_mask(test_markers, "markers and guards");
	kit_case(test_swapped, &masks[0], "swapped pages");
	kit_case(test_swapped, &masks[1], "swapped pages, by entries");
	(void)swapoff(SWAP); /* if a case died */
	(void)unlink(SWAP);
	each_mask(test_random, "random pages");
	tap_case("4 TiB of nothing", test_sparse);
	each_mask(test_read, "reading");
	tap_case("reading touches nothing", test_reads_touch_nothing);
	tap_case("special mappings", test_special);
	tap_case("pinned", test_pinned);
	tap_case("pinned: the text", test_pinned_text);
#ifdef DECANT_FAULTS
	tap_case("short reads", test_short_reads);
	kit_case(test_scan_fails, &masks[0], "each call fails once");
	kit_case(test_scan_fails, &masks[1], "each call fails once, by entries");
#endif
	tap_case("time", test_time);
	return done();
}
