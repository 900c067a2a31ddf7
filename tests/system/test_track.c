/* SPDX-License-Identifier: MIT */
/*
 * process/track: written pages are told exactly, by every way of tracking that
 * there is; what cannot be tracked is refused.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/swap.h>

#include "lib/forked.h"
#include "lib/kit.h"
#include "lib/tracked.h"
#include "process/pages.h"
#include "sys/fault.h"
#include "tap.h"
#include "uapi/userfaultfd.h"

static const char *const masks[] = { NULL, "wp_holes" };

static const char *mask_name(const void *arg)
{
	const char *mask = *(const char *const *)arg;

	return mask ? mask : "nothing";
}

/* ------------------------------------------------------------- plain writes */

#define PLAIN_LEN (24 * MIB)
#define PLAIN_PAGES (PLAIN_LEN / PAGE)

static void test_plain(const void *arg)
{
	static unsigned char wrote[PLAIN_PAGES], there[PLAIN_PAGES];
	struct ranges written = RANGES_INIT, is_there = RANGES_INIT, both = RANGES_INIT;
	struct pages_found found = { .there = &is_there };
	struct forked f;
	struct track *tr = tracked_begin(&f, *(const char *const *)arg, tracked_small, PLAIN_LEN);

	for (unsigned round = 0; round < 12; round++) {
		memset(wrote, 0, sizeof(wrote));
		for (unsigned i = 0; i < 1500; i++) {
			size_t page = kit_random() % PLAIN_PAGES;

			/* Half of it stays empty for a long time. */
			page = round < 6 ? page / 1024 * 1024 + page % 512 : page;
			if (kit_random() % 4 == 0) {
				forked_do(&f, tracked_read, page);
				continue;
			}
			forked_do(&f, tracked_write, page);
			there[page] = wrote[page] = 1;
		}
		if (round % 3 == 2) {
			tracked_look(tr, PLAIN_LEN, false, &written);
			is_int(tracked_differ(&written, wrote, PLAIN_PAGES, true), 0,
			       "none is missed");
			ranges_clear(&is_there);
			is_int(pages_scan(f.target, AT, AT + PLAIN_LEN, &found, NULL), 0, "scan");
			is_int(tracked_differ(&is_there, there, PLAIN_PAGES, false), 0,
			       "what is there");
			is_int(ranges_intersect(&both, &written, &is_there), 0, "memory");
			is_int(tracked_differ(&both, wrote, PLAIN_PAGES, false), 0,
			       "told exactly, again");
		}
		tracked_look(tr, PLAIN_LEN, true, &written);
		is_int(tracked_differ(&written, wrote, PLAIN_PAGES, false), 0, "round %u: exactly",
		       round);
	}
	tracked_look(tr, PLAIN_LEN, true, &written);
	is_int(written.n, 0, "nothing since");
	ranges_free(&written);
	ranges_free(&is_there);
	ranges_free(&both);
	tracked_end(&f, tr);
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
	tr = tracked_begin(&f, NULL, tracked_small, LEN);
	forked_do(&f, tracked_fill, LEN);
	tracked_look(tr, LEN, true, &written);
	forked_do(&f, victim_pageout, LEN);
	is_int(pages_scan(f.target, AT, AT + LEN, &found, NULL), 0, "scan");
	ok(found.swapped_bytes > MIB, "%llu bytes are swapped out",
	   (unsigned long long)found.swapped_bytes);
	tracked_look(tr, LEN, false, &written);
	is_int(ranges_bytes(&written), 0, "that is no write");
	forked_do(&f, tracked_read, 100);
	tracked_look(tr, LEN, false, &written);
	is_int(ranges_bytes(&written), 0, "nor is coming back");
	forked_do(&f, tracked_write, 200);
	forked_do(&f, tracked_write, 100);
	tracked_look(tr, LEN, true, &written);
	is_int(ranges_bytes(&written), 2 * PAGE, "a write is one");
	ok(ranges_has(&written, AT + 100 * PAGE) && ranges_has(&written, AT + 200 * PAGE), "both");
	forked_do(&f, victim_pageout, LEN);
	tracked_look(tr, LEN, false, &written);
	is_int(ranges_bytes(&written), 0, "protected again, and swapped out");
	ranges_free(&written);
	tracked_end(&f, tr);
	kit_must(swapoff(SWAP));
}

/* -------------------------------------------------------------- refused, gone */

static long victim_own_uffd(uintptr_t len)
{
	int uffd = (int)tracked_userfaultfd(0);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { AT, len }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	return ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg);
}

static void test_refused(void)
{
	struct err e = { "" };
	struct forked f;
	struct track *tr = tracked_begin(&f, NULL, tracked_small, LEN);
	int fds[2];

	is_int(track_arm(tr, AT + 64 * MIB, AT + 65 * MIB, &e), -EINVAL, "no mapping: %s", e.text);
	is_int(track_arm(tr, AT + 1, AT + PAGE + 1, &e), -EINVAL, "not a page: %s", e.text);
	track_close(tr);
	forked_do(&f, victim_own_uffd, LEN);
	need(track_adopt(&tr, f.target, tracked_steal(&f), &e) == 0, "adopt");
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
	return munmap(tracked_page(100), 300 * PAGE) || munmap(tracked_page(1024), BLOCK);
}

static void test_vanish(void)
{
	struct ranges written = RANGES_INIT;
	struct err e;
	struct forked f;
	struct track *tr = tracked_begin(&f, NULL, tracked_small, LEN);

	forked_do(&f, tracked_fill, LEN);
	tracked_look(tr, LEN, true, &written);
	forked_do(&f, victim_vanish, 0);
	tracked_look(tr, LEN, true, &written);
	is_int(ranges_bytes(&written), 0, "what is gone is not told to a round");
	tracked_look(tr, LEN, false, &written);
	ok(true, "nor does it break the stop's");
	kill(f.pid, SIGKILL);
	waitid(P_PID, (id_t)f.pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	ranges_clear(&written);
	(void)track_scan(tr, AT, AT + LEN, true, &written, &e);
	is_int(written.n, 0, "a dead one tells nothing");
	is_int(track_arm(tr, AT, AT + LEN, &e), -ESRCH, "and cannot be armed: %s", e.text);
	ranges_free(&written);
	tracked_end(&f, tr);
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

static long victim_drop(uintptr_t arg)
{
	(void)arg;
	return madvise(tracked_page(10), PAGE, MADV_DONTNEED);
}

static void test_soft_dirty(const void *arg)
{
	struct ranges written = RANGES_INIT;
	struct track *tr = NULL;
	struct err e = { "" };
	struct forked f;
	bool real;

	forked_start(&f, *(const char *const *)arg);
	real = caps_has(f.caps, FACT_SOFT_DIRTY);
	forked_do(&f, tracked_small, LEN);
	forked_do(&f, tracked_fill, LEN / 2);
	forked_open(&f);
	is_int(track_open(&tr, TRACK_SOFT_DIRTY, f.target, NULL, &e), 0, "open %s", e.text);
	need(tr, "open");
	is_int(track_kind(tr), TRACK_SOFT_DIRTY, "kind");
	is_int(track_arm(tr, AT, AT + LEN, &e), 0, "arm");
	tracked_look(tr, LEN / 4, true, &written);
	is_int(ranges_bytes(&written), LEN / 4, "the first scan tells all");
	tracked_look(tr, LEN / 4, true, &written);
	is_int(ranges_bytes(&written), 0, "the second nothing");
	tracked_look(tr, LEN, true, &written);
	is_int(ranges_bytes(&written), LEN - LEN / 4, "all that was not scanned before");
	tracked_look(tr, LEN, true, &written);
	is_int(ranges_bytes(&written), LEN / 2, "then what is not there");
	forked_do(&f, victim_drop, 0);
	tracked_look(tr, LEN, true, &written);
	ok(ranges_has(&written, AT + 10 * PAGE), "what was dropped");
	forked_do(&f, tracked_read, 10);
	tracked_look(tr, LEN, true, &written);
	ok(ranges_has(&written, AT + 10 * PAGE), "also when it is the zero page now");
	forked_do(&f, tracked_write, 20);
	tracked_look(tr, LEN, true, &written);
	if (real)
		ok(ranges_has(&written, AT + 20 * PAGE), "a write");
	ranges_free(&written);
	tracked_end(&f, tr);
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

static void test_faults(void)
{
	struct ranges first = RANGES_INIT;
	unsigned long n;
	unsigned before;
	struct forked f;
	int r;

	forked_start(&f, NULL);
	forked_do(&f, tracked_small, LEN);
	forked_open(&f);
	before = kit_fds_open();
	r = faulty_run(&f, tracked_steal(&f), &first);
	is_int(r, 0, "facts are known now");
	ranges_free(&first);
	for (n = 1; n < 500; n++) {
		struct ranges written = RANGES_INIT;
		int uffd = tracked_steal(&f);
		bool fired;

		sys_fault_arm(&(struct sys_fault_plan){ .nth = n });
		r = faulty_run(&f, uffd, &written);
		sys_fault_disarm();
		fired = sys_fault_fired() > 0;
		ok(r <= 0, "call %lu (%s): %d", n, fired ? sys_fault_fired_name() : "", r);
		is_int(kit_fds_open(), before, "no descriptor is left");
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
	bool can;

	need_root();
	kit_start(240);
	can = tracked_can();
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
	tap_case("swapped out", test_swapped);
	(void)swapoff(SWAP); /* if the case died */
	(void)unlink(SWAP);
	tap_case("refused", test_refused);
	tap_case("memory that vanishes", test_vanish);
#ifdef DECANT_FAULTS
	tap_case("each call fails once", test_faults);
#endif
	return done();}
