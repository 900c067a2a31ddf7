/* SPDX-License-Identifier: MIT */
/* What of a target is in an image, how each part can be had, and the choice of a strategy. */
#include <string.h>

#include "capture/forecast.h"
#include "capture/scope.h"
#include "tap.h"

#define PAGE 4096ull
#define GIB (1ull << 30)
#define RW (VMA_KNOWN | VMA_READ | VMA_WRITE)
#define DEFAULT_FILTER 0x33

struct row {
	const char *name;
	uint32_t flags;
	uint32_t filter;
	bool all;
	enum scope_cover cover;
	int parts;              /* 0 or 1 */
	enum scope_how how;
	bool file_base;
	uint64_t pages;         /* of the part; the mapping has 4 */
};

static const struct row rows[] = {
	{ "private memory, tracked", RW | VMA_ANON, DEFAULT_FILTER, false, SCOPE_COVER_TRACK, 1,
	  SCOPE_PRIVATE, false, 4 },
	{ "private memory, a shadow", RW | VMA_ANON, DEFAULT_FILTER, false, SCOPE_COVER_FORK, 1,
	  SCOPE_PRIVATE, false, 4 },
	{ "private memory, stopped", RW | VMA_ANON, DEFAULT_FILTER, false, SCOPE_COVER_STOP, 1,
	  SCOPE_STOPPED, false, 4 },
	{ "not asked for", RW | VMA_ANON, 0, false, SCOPE_COVER_TRACK, 0, 0, false, 0 },
	{ "DONTDUMP", RW | VMA_ANON | VMA_DONTDUMP, DEFAULT_FILTER, false, SCOPE_COVER_TRACK, 0, 0,
	  false, 0 },
	{ "DONTDUMP, but all", RW | VMA_ANON | VMA_DONTDUMP, DEFAULT_FILTER, true,
	  SCOPE_COVER_TRACK, 1, SCOPE_PRIVATE, false, 4 },
	{ "DONTFORK, tracked", RW | VMA_ANON | VMA_DONTFORK, DEFAULT_FILTER, false,
	  SCOPE_COVER_TRACK, 1, SCOPE_PRIVATE, false, 4 },
	{ "DONTFORK, a shadow", RW | VMA_ANON | VMA_DONTFORK, DEFAULT_FILTER, false,
	  SCOPE_COVER_FORK, 1, SCOPE_STOPPED, false, 4 },
	{ "WIPEONFORK, a shadow", RW | VMA_ANON | VMA_WIPEONFORK, DEFAULT_FILTER, false,
	  SCOPE_COVER_FORK, 1, SCOPE_STOPPED, false, 4 },
	{ "its own userfaultfd, tracked", RW | VMA_ANON | VMA_UFFD, DEFAULT_FILTER, false,
	  SCOPE_COVER_TRACK, 1, SCOPE_STOPPED, false, 4 },
	{ "its own userfaultfd, a shadow", RW | VMA_ANON | VMA_UFFD, DEFAULT_FILTER, false,
	  SCOPE_COVER_FORK, 1, SCOPE_PRIVATE, false, 4 },
	{ "hugetlb", RW | VMA_ANON | VMA_HUGETLB, DEFAULT_FILTER, false, SCOPE_COVER_TRACK, 1,
	  SCOPE_STOPPED, false, 4 },
	{ "shared memory", RW | VMA_SHARED | VMA_FILE | VMA_DELETED, DEFAULT_FILTER, false,
	  SCOPE_COVER_TRACK, 1, SCOPE_STOPPED, true, 4 },
	{ "a shared file", RW | VMA_SHARED | VMA_FILE, DEFAULT_FILTER, false, SCOPE_COVER_TRACK, 0,
	  0, false, 0 },
	{ "a file's written data", RW | VMA_FILE | VMA_ANON, DEFAULT_FILTER, false,
	  SCOPE_COVER_TRACK, 1, SCOPE_PRIVATE, true, 4 },
	{ "text, its first page", VMA_KNOWN | VMA_READ | VMA_EXEC | VMA_FILE, DEFAULT_FILTER, false,
	  SCOPE_COVER_TRACK, 1, SCOPE_FIXED, true, 1 },
	{ "[vdso]", VMA_KNOWN | VMA_READ | VMA_EXEC | VMA_SPECIAL, DEFAULT_FILTER, false,
	  SCOPE_COVER_FORK, 1, SCOPE_FIXED, false, 4 },
	{ "[vvar]", VMA_KNOWN | VMA_READ | VMA_SPECIAL | VMA_UNREADABLE, DEFAULT_FILTER, false,
	  SCOPE_COVER_FORK, 0, 0, false, 0 },
	{ "a device", RW | VMA_SHARED | VMA_FILE | VMA_IO, 0x1ff, true, SCOPE_COVER_FORK, 0, 0,
	  false, 0 },
};

static void test_rows(void)
{
	struct scope s = SCOPE_INIT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct vma v = { .start = 0x10000, .end = 0x10000 + 4 * PAGE, .flags = r->flags,
				 .ino = r->flags & VMA_FILE ? 7 : 0, .page_size = 4096 };
		struct maps m = { .v = &v, .n = 1 };
		struct scope_rules rules = { r->filter, r->all, r->cover };

		is_int(scope_make(&s, &m, &rules), 0, "%s", r->name);
		is_int((long)s.n, r->parts, "%s: in the image or not", r->name);
		if (s.n != 1 || r->parts != 1)
			continue;
		is_int(s.v[0].how, r->how, "%s: how", r->name);
		is_int(s.v[0].file_base, r->file_base, "%s: what absent pages are", r->name);
		is_int((long)(s.v[0].end - s.v[0].start), (long)(r->pages * PAGE), "%s: how much",
		       r->name);
		ok((s.v[0].how == SCOPE_STOPPED) == (s.v[0].why != NULL), "%s: the reason",
		   r->name);
		ok(scope_find(&s, v.start) == &s.v[0] && !scope_find(&s, v.start - 1) &&
		   !scope_find(&s, v.end), "%s: found again", r->name);
	}
	scope_free(&s);
}

static struct forecast_facts facts(uint64_t private_bytes, uint64_t huge, uint64_t dirty)
{
	return (struct forecast_facts){
		.private_bytes = private_bytes,
		.huge_bytes = huge,
		.dirty_bytes_per_s = dirty,
		.threads = 1,
		.mappings = 30,
		.pause_max_ns = 5000000,
	};
}

static uint32_t chosen(const struct forecast_facts *f)
{
	struct decant_capture_plan p = DECANT_CAPTURE_PLAN_INIT;

	forecast_make(f, &p);
	return p.strategy;
}

static void test_choice(void)
{
	struct forecast_facts f = facts(4 * GIB, 0, 40 << 20);

	is_int(chosen(&f), DECANT_STRATEGY_PRECOPY, "large, seldom written: precopy");
	f.no_track = "masked";
	is_int(chosen(&f), DECANT_STRATEGY_AUTO, "large, no tracking: nothing meets 5 ms");
	f.pause_max_ns = 100000000;
	is_int(chosen(&f), DECANT_STRATEGY_FORK, "... and a shadow meets 100 ms");
	f = facts(GIB, 0, 4 * GIB);
	f.pause_max_ns = 25000000;
	is_int(chosen(&f), DECANT_STRATEGY_FORK, "written faster than copied: a shadow");
	f = facts(16 << 20, 0, 0);
	is_int(chosen(&f), DECANT_STRATEGY_FORK, "small: a shadow");
	f = facts(256 << 20, 0, 10 << 20);
	is_int(chosen(&f), DECANT_STRATEGY_PRECOPY, "256 MiB: precopy");
	f.stream = true;
	is_int(chosen(&f), DECANT_STRATEGY_FORK, "the same as a stream: a shadow");
	f = facts(64 << 20, 0, 0);
	f.stopped_bytes[0] = f.stopped_bytes[1] = GIB;
	is_int(chosen(&f), DECANT_STRATEGY_AUTO, "a gibibyte of shared memory: nothing");
	f = facts(1 << 20, 0, 0);
	f.no_track = f.no_fork = "masked";
	is_int(chosen(&f), DECANT_STRATEGY_STOP, "a mebibyte and nothing else: the plain stop");
}

/* More memory, more writes, more threads never promise less. */
static void test_monotone(void)
{
	struct decant_capture_plan a = DECANT_CAPTURE_PLAN_INIT, b = DECANT_CAPTURE_PLAN_INIT;

	for (uint64_t bytes = 1 << 20; bytes <= 64 * GIB; bytes *= 4) {
		struct forecast_facts f = facts(bytes, 0, 10 << 20);
		struct forecast_facts g = facts(bytes * 4, 0, 10 << 20);

		forecast_make(&f, &a);
		forecast_make(&g, &b);
		for (int i = 0; i < 3; i++)
			ok(a.forecasts[i].pause_ns < b.forecasts[i].pause_ns &&
			   a.forecasts[i].total_ns < b.forecasts[i].total_ns,
			   "%s: %ju MiB, then four times as much", forecast_name(i + 1),
			   (uintmax_t)(bytes >> 20));
		g = facts(bytes, bytes, 10 << 20);
		forecast_make(&g, &b);
		ok(b.forecasts[1].pause_ns < a.forecasts[1].pause_ns, "huge pages fork faster");
	}
}

int main(void)
{
	test_rows();
	test_choice();
	test_monotone();
	return done();
}
