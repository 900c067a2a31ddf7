/* SPDX-License-Identifier: MIT */
/*
 * process/pages: what is there in a victim's memory; by PAGEMAP_SCAN and by the
 * entries, of which each means what the kernel says.
 */
#include <grp.h>

#include "lib/forked.h"
#include "lib/kit.h"
#include "lib/paged.h"
#include "process/entry.h"
#include "process/pages.h"
#include "sys/fault.h"
#include "tap.h"
#include "uapi/pagemap.h"

static void test_plain(const void *arg)
{
	bool zero_counts = paged_lacks(arg, "pagemap_scan,pagemap_frames");
	struct forked f;

	forked_start(&f, *(const char *const *)arg);
	forked_do(&f, paged_plain, 0);
	forked_open(&f);
	paged_there_is(&f, 0, 64 * PAGE, zero_counts ? "1-3 5 10 63" : "1-3 10 63");
	paged_there_is(&f, 2 * PAGE, 2 * PAGE, "0-1");
	paged_there_is(&f, 0, PAGE, "");
	paged_there_is(&f, PAGE, 0, "");
	paged_there_is(&f, 1000 * MIB, 100 * MIB, "");
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
	forked_do(&f, paged_plain, 0);
	forked_open(&f);
	paged_there_is(&f, 0, 64 * PAGE,
		       paged_lacks(arg, "pagemap_scan") ? "1-3 5 10 63" : "1-3 10 63");
	forked_end(&f);
}

/* A long way through nothing must be a short time; an island must be found. */
static long victim_sparse(uintptr_t arg)
{
	char *p = forked_put(0, 1ul << 42, RW, ANON | MAP_NORESERVE);

	(void)arg;
	for (size_t at = 0; at < 1ul << 42; at += 1ul << 38)
		paged_fill(p + at + 5 * PAGE, 2 * PAGE);
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
	there = paged_scan(&f, 0, 1ul << 42, NULL);
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
	char *p = forked_put(0, 32 * MIB, RW, ANON);

	madvise(p, 32 * MIB, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 32 * MIB / PAGE; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		if (seed >> 60 < 7)
			paged_fill(p + i * PAGE, PAGE);
	}
	return 0;
}

static void test_random(const void *arg)
{
	uint64_t bytes, wrong = 0;
	struct ranges there;
	struct forked f;

	forked_start(&f, *(const char *const *)arg);
	forked_do(&f, victim_random, kit_random());
	forked_open(&f);
	there = paged_scan(&f, 0, 32 * MIB, NULL);
	bytes = ranges_bytes(&there);
	for (size_t i = 0; i < 32 * MIB / PAGE; i++)
		wrong += ranges_has(&there, AT + i * PAGE) !=
			 (forked_do(&f, paged_is_there, i) != 0);
	ok(there.n > 1000 && bytes > MIB, "%zu ranges, %llu bytes", there.n,
	   (unsigned long long)bytes);
	is_int(wrong, 0, "each page as the victim sees it");
	ranges_free(&there);
	forked_end(&f);
}

#ifdef DECANT_FAULTS
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
	char *p = forked_put(0, 1024 * MIB, RW, ANON);

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

int main(void)
{
	need_root();
	kit_start(120);
	tap_case("entries", test_entries);
	paged_each(test_plain, "plain pages");
	kit_case(test_nobody, &paged_masks[0], "of nobody by nobody");
	kit_case(test_nobody, &paged_masks[1], "of nobody by nobody, by entries");
	paged_each(test_random, "random pages");
	tap_case("4 TiB of nothing", test_sparse);
#ifdef DECANT_FAULTS
	kit_case(test_scan_fails, &paged_masks[0], "each call fails once");
	kit_case(test_scan_fails, &paged_masks[1], "each call fails once, by entries");
#endif
	tap_case("time", test_time);
	return done();
}
