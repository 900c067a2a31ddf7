/* SPDX-License-Identifier: MIT */
/* image/layout: places never move and never overlap, whatever is asked for. */
#include <errno.h>
#include <string.h>

#include "image/core.h"
#include "lib/kit.h"
#include "sys/fault.h"
#include "tap.h"

#define PAGE ((uint64_t)CORE_PAGE)

/* ------------------------------------------------- against a simple oracle */

/* One entry per page of a small address space: its file offset, 0 for none. */
#define PAGES 512
#define BASE UINT64_C(0x7f0000000000)

static uint64_t oracle[PAGES];

static void check_pages(const struct core_layout *l, const char *after)
{
	static uint64_t seen[PAGES * 64];
	size_t placed = 0, wrong = 0;

	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < PAGES; i++) {
		uint64_t len = 77, offset = core_layout_offset(l, BASE + i * PAGE + 5, &len);
		size_t run = i;

		if (!oracle[i]) {
			wrong += offset != UINT64_MAX || len != 77;
			continue;
		}
		placed++;
		wrong += offset != oracle[i] + 5 || oracle[i] % PAGE || oracle[i] < l->head_bytes ||
			 oracle[i] + PAGE > l->file_end;
		/* ret_len reaches just as far as pages follow each other in the file. */
		while (run + 1 < PAGES && oracle[run + 1] == oracle[run] + PAGE)
			run++;
		wrong += len != (run + 1 - i) * PAGE - 5;
		wrong += seen[(oracle[i] - l->head_bytes) / PAGE]++ != 0;
	}
	wrong += l->file_end != l->head_bytes + placed * PAGE;
	for (size_t i = 0; i < l->n; i++)
		wrong += l->v[i].start >= l->v[i].end || (i && l->v[i - 1].end > l->v[i].start);
	if (wrong)
		ok(false, "%zu wrong after %s", wrong, after);
}

static void place(struct core_layout *l, size_t from, size_t to)
{
	uint64_t next = l->file_end;
	char what[64];

	snprintf(what, sizeof(what), "placing [%zu, %zu)", from, to);
	is_int(core_layout_place(l, BASE + from * PAGE, BASE + to * PAGE), 0, "%s", what);
	/* What is new goes to the end, in ascending order; what is old stays. */
	for (size_t i = from; i < to; i++)
		if (!oracle[i]) {
			oracle[i] = next;
			next += PAGE;
		}
	check_pages(l, what);
}

/* A mapping as the kernel would move its ends: grow up, grow down, shrink, come again. */
static void random_mappings(void)
{
	struct core_layout l = CORE_LAYOUT_INIT;
	size_t from = PAGES / 2, to = from + 1;

	memset(oracle, 0, sizeof(oracle));
	is_int(core_layout_begin(&l, kit_random() % 8, kit_random() % 3, 100), 0, "begin");
	for (int step = 0; step < 60; step++) {
		size_t by = kit_random() % 9;

		switch (kit_random() % 5) {
		case 0: /* grows up, as a heap */
			to = to + by < PAGES ? to + by : PAGES;
			break;
		case 1: /* grows down, as a stack */
			from = from > by ? from - by : 0;
			break;
		case 2: /* shrinks */
			to = to > from + by ? to - by : from;
			break;
		default: /* another one */
			from = kit_random() % PAGES;
			to = from + kit_random() % (kit_random() % 8 ? 8 : PAGES - from);
			to = to < PAGES ? to : PAGES;
			break;
		}
		place(&l, from, to);
	}
	core_layout_free(&l);
	is_int(l.n + l.size + l.file_end, 0, "freed");
}

static void case_random(void)
{
	for (int i = 0; i < (kit_slow_build() ? 20 : 100); i++)
		random_mappings();
}

/* The oracle sees a layout that lies. */
static void test_control(void)
{
	struct core_layout l = CORE_LAYOUT_INIT;
	int before;

	memset(oracle, 0, sizeof(oracle));
	is_int(core_layout_begin(&l, 1, 1, 0), 0, "begin");
	place(&l, 10, 20);
	place(&l, 5, 9);
	place(&l, 20, 25);
	is_int(l.n, 3, "a heap that went on behind others has two places");
	before = tap_shared->failed;
	printf("# the next failure is wanted\n");
	l.v[1].file_offset += PAGE;
	tap_in_case = true;
	check_pages(&l, "a lie");
	tap_in_case = false;
	ok(tap_shared->case_failed > 0 && tap_shared->failed == before,
	   "control: a place that moved is seen");
	core_layout_free(&l);
}

/* ------------------------------------------------------------------- edges */

static void test_edges(void)
{
	struct core_layout l = CORE_LAYOUT_INIT;
	uint64_t len = 0, top = UINT64_MAX - PAGE + 1;

	is_int(core_layout_begin(&l, 0, 0, 0), 0, "nothing expected");
	ok(l.head_bytes == PAGE && l.file_end == PAGE, "  still room for a header");
	is_int(core_layout_place(&l, PAGE, PAGE), 0, "an empty mapping");
	is_int(l.n, 0, "  has no place");
	is_int(core_layout_place(&l, 0, PAGE), 0, "page 0");
	is_int(core_layout_offset(&l, 0, &len), PAGE, "  has one");
	is_int(core_layout_place(&l, top - PAGE, top), 0, "just below the last page");
	is_int(core_layout_offset(&l, top - 1, &len), 3 * PAGE - 1, "  its last byte");
	is_int(len, 1, "  has nothing behind it");
	ok(core_layout_offset(&l, top, &len) == UINT64_MAX, "  where there is nothing");
	is_int(core_layout_place(&l, PAGE, INT64_MAX & ~(PAGE - 1)), -EFBIG,
	       "more than a file can");
	is_int(l.n, 2, "  changes nothing");
	is_int(l.file_end, 3 * PAGE, "  not the end either");
	is_int(core_layout_begin(&l, (size_t)-1, 1, 1), -EFBIG, "too many segments");
	is_int(core_layout_begin(&l, 1, (size_t)-1, 1), -EFBIG, "too many threads");
	is_int(core_layout_begin(&l, 1, 1, (size_t)-1), -EFBIG, "too large notes");
	is_int(core_layout_begin(&l, 70000, 4000, 1 << 20), 0, "large");
	ok(l.head_bytes >= 2 * (70000 * 56 + 4000 * 3800 + (1 << 20)) && l.head_bytes % PAGE == 0,
	   "  room for twice as much: %ju", (uintmax_t)l.head_bytes);
	is_int(l.n, 0, "  begins anew");
	core_layout_free(&l);
	core_layout_free(&l);
}

/* 70,000 mappings in the order in which they come, and again. */
static void test_many(void)
{
	struct core_layout l = CORE_LAYOUT_INIT;
	uint64_t before, start_ns = kit_now_ns();
	int r = core_layout_begin(&l, 70000, 1, 0);

	for (uint64_t i = 0; r == 0 && i < 70000; i++)
		r = core_layout_place(&l, BASE + 3 * i * PAGE, BASE + (3 * i + 1) * PAGE);
	is_int(r, 0, "70,000 mappings");
	is_int(l.n, 70000, "  have as many places");
	before = l.file_end;
	for (uint64_t i = 0; r == 0 && i < 70000; i++)
		r = core_layout_place(&l, BASE + 3 * i * PAGE, BASE + (3 * i + 1) * PAGE);
	is_int(l.file_end, before, "  which stay");
	ok(kit_slow_build() || kit_now_ns() - start_ns < 500000000,
	   "  in no time: %ju us", (uintmax_t)(kit_now_ns() - start_ns) / 1000);
	core_layout_free(&l);
}

static void test_memory(void)
{
#ifdef DECANT_FAULTS
	struct core_layout l = CORE_LAYOUT_INIT;
	unsigned failed = 0;
	uint64_t len;
	int r = core_layout_begin(&l, 1, 1, 0);

	sys_fault_arm(&(struct sys_fault_plan){ .nth = 2, .name = "realloc" });
	for (uint64_t i = 0; r == 0 && i < 100; i++) {
		r = core_layout_place(&l, BASE + 2 * i * PAGE, BASE + (2 * i + 1) * PAGE);
		if (r == -ENOMEM) {
			failed++;
			ok(core_layout_offset(&l, BASE + 2 * i * PAGE, &len) == UINT64_MAX,
			   "out of memory: no place");
			r = core_layout_place(&l, BASE + 2 * i * PAGE, BASE + (2 * i + 1) * PAGE);
		}
	}
	sys_fault_disarm();
	is_int(failed, 1, "memory ran out once");
	is_int(l.n, 100, "  and all have their place in the end");
	core_layout_free(&l);
#endif
}

int main(void)
{
	kit_start(60);
	test_control();
	test_edges();
	test_many();
	test_memory();
	tap_case("random mappings", case_random);
	return done();
}
