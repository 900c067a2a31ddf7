/* SPDX-License-Identifier: MIT */
/*
 * process/pages: pages unlike others: of files, huge, swapped out, marked but not
 * there, and pinned.
 */
#include <fcntl.h>
#include <liburing.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <sys/syscall.h>

#include "lib/forked.h"
#include "lib/kit.h"
#include "lib/paged.h"
#include "process/pages.h"
#include "tap.h"
#include "uapi/userfaultfd.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define SHARED_LEN (16 * PAGE)

static long victim_file(uintptr_t fd)
{
	char *p = mmap(FORKED_AT, SHARED_LEN, RW, MAP_PRIVATE | MAP_FIXED, (int)fd, 0);
	char *q = mmap(FORKED_AT + MIB, SHARED_LEN, RW, MAP_SHARED | MAP_FIXED, (int)fd, 0);

	if (p == MAP_FAILED || q == MAP_FAILED)
		_exit(9);
	madvise(p, SHARED_LEN, MADV_RANDOM);
	paged_fill(p + 2 * PAGE, PAGE);
	paged_fill(q + 4 * PAGE, 2 * PAGE);
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
	there = paged_scan(&f, 0, 2 * MIB, &found);
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
	char *p = forked_put(0, 16 * MIB, RW, ANON);

	(void)arg;
	madvise(p, 16 * MIB, MADV_HUGEPAGE);
	paged_fill(p + 2 * MIB, PAGE);
	paged_fill(p + 6 * MIB, 4 * MIB);
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
	there = paged_scan(&f, 0, 12 * MIB, &found);
	if (!paged_lacks(arg, "pagemap_scan")) {
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
	paged_fill(p + 2 * MIB, PAGE);
	paged_fill(p + 6 * MIB, 2 * MIB);
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
	there = paged_scan(&f, 0, 8 * MIB, &found);
	is_int(ranges_bytes(&there), 4 * MIB, "two are there");
	ok(ranges_has(&there, AT + 2 * MIB) && ranges_has(&there, AT + 6 * MIB), "these");
	if (!paged_lacks(arg, "pagemap_scan"))
		is_int(found.huge_bytes, 4 * MIB, "huge");
	is_int(pages_read(f.target, PAGES_LIVE, AT + 6 * MIB, buf, sizeof(buf)), sizeof(buf),
	       "read");
	ok(*(uint64_t *)(buf + 8 * PAGE) == AT + 6 * MIB + 8 * PAGE + 1, "is right");
	ranges_free(&there);
	forked_end(&f);
}

/* ------------------------------------------------------------------ swapped */

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
	char *p = forked_put(0, 64 * PAGE, RW, ANON);

	(void)arg;
	madvise(p, 64 * PAGE, MADV_NOHUGEPAGE);
	paged_fill(p + 8 * PAGE, 8 * PAGE);
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
	there = paged_scan(&f, 0, 64 * PAGE, &found);
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

/* ------------------------------------------------------------------ markers */

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
	char *p = forked_put(0, 64 * PAGE, RW, ANON);

	(void)arg;
	madvise(p, 64 * PAGE, MADV_NOHUGEPAGE);
	paged_fill(p + 4 * PAGE, PAGE);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg) ||
	    ioctl(uffd, UFFDIO_WRITEPROTECT, &wp))
		return -1;
	p = forked_put(MIB, 64 * PAGE, RW, ANON);
	paged_fill(p, 2 * PAGE);
	return madvise(p + PAGE, 4 * PAGE, MADV_GUARD_INSTALL) == 0 ? 2 : 1;
}

static void test_markers(const void *arg)
{
	bool blind = paged_lacks(arg, "pagemap_frames");
	struct forked f;
	long r;

	forked_start(&f, *(const char *const *)arg);
	r = forked_do(&f, victim_markers, 0);
	forked_open(&f);
	if (r < 1)
		skip("this kernel cannot write-protect holes");
	paged_there_is(&f, 0, 64 * PAGE, blind ? "0-31" : "4");
	if (r == 2)
		paged_there_is(&f, MIB, 64 * PAGE, "0");
	forked_end(&f);
}

/* ------------------------------------------------------------------- pinned */

static struct io_uring ring;

static long victim_pins(uintptr_t arg)
{
	char *p = forked_put(0, 64 * PAGE, RW, ANON);
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

int main(void)
{
	need_root();
	kit_start(120);
	paged_each(test_file, "pages of files");
	paged_each(test_huge, "huge pages");
	kit_case(test_hugetlb, &paged_masks[0], "hugetlb");
	kit_case(test_hugetlb, &paged_masks[1], "hugetlb, by entries");
	paged_each(test_markers, "markers and guards");
	kit_case(test_swapped, &paged_masks[0], "swapped pages");
	kit_case(test_swapped, &paged_masks[1], "swapped pages, by entries");
	(void)swapoff(SWAP); /* if a case died */
	(void)unlink(SWAP);
	tap_case("pinned", test_pinned);
	tap_case("pinned: the text", test_pinned_text);
	return done();
}
