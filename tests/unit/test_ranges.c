/* SPDX-License-Identifier: MIT */
/* process/ranges: against a bitmap, which does the same the slow way. */
#include "lib/kit.h"
#include "process/ranges.h"
#include "sys/fault.h"
#include "tap.h"

#define SPAN 200

typedef unsigned char bitmap[SPAN];

static void bitmap_add(bitmap map, uint64_t start, uint64_t end)
{
	for (uint64_t i = start; i < end; i++)
		map[i] = 1;
}

/* Sorted, disjoint, never touching. */
static bool ranges_are_sound(const struct ranges *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].start >= r->v[i].end || (i && r->v[i].start <= r->v[i - 1].end))
			return false;
	return r->n <= r->size;
}

static bool ranges_are(const struct ranges *r, const bitmap map)
{
	uint64_t bytes = 0;
	bitmap got = { 0 };

	if (!ranges_are_sound(r))
		return false;
	for (size_t i = 0; i < r->n; i++)
		bitmap_add(got, r->v[i].start, r->v[i].end);
	for (uint64_t i = 0; i < SPAN; i++) {
		size_t at = ranges_find(r, i);

		bytes += map[i];
		if (ranges_has(r, i) != map[i])
			return false;
		if (at < r->n && (r->v[at].end <= i || (at && r->v[at - 1].end > i)))
			return false;
		if (at == r->n && r->n && r->v[r->n - 1].end > i)
			return false;
	}
	return ranges_bytes(r) == bytes && memcmp(got, map, SPAN) == 0;
}

static void random_set(struct ranges *r, bitmap map)
{
	unsigned n = kit_random() % 24, longest = 1 + kit_random() % 30;
	bool ascending = kit_random() % 2;
	uint64_t at = 0;

	ranges_clear(r);
	memset(map, 0, SPAN);
	while (n--) {
		uint64_t start = ascending ? at + kit_random() % 6 : kit_random() % SPAN;
		uint64_t end = start + kit_random() % longest;

		if (start >= SPAN)
			break;
		end = end < SPAN ? end : SPAN;
		if (kit_random() % 16 == 0 && ranges_add(r, end, start) < 0) /* empty */
			bail("memory");
		if (ranges_add(r, start, end) < 0)
			bail("memory");
		bitmap_add(map, start, end);
		at = end;
	}
}

static void test_random(void)
{
	unsigned rounds = kit_full() ? 400000 : 40000, wrong = 0;
	struct ranges a = RANGES_INIT, b = RANGES_INIT, ret = RANGES_INIT;
	bitmap am, bm, want;

	for (unsigned i = 0; i < rounds && !wrong; i++) {
		random_set(&a, am);
		random_set(&b, bm);
		wrong += !ranges_are(&a, am) || !ranges_are(&b, bm);
		wrong += ranges_union(&ret, &a, &b) != 0;
		for (int k = 0; k < SPAN; k++)
			want[k] = am[k] | bm[k];
		wrong += !ranges_are(&ret, want);
		wrong += ranges_subtract(&ret, &a, &b) != 0;
		for (int k = 0; k < SPAN; k++)
			want[k] = am[k] & !bm[k];
		wrong += !ranges_are(&ret, want);
		wrong += ranges_intersect(&ret, &a, &b) != 0;
		for (int k = 0; k < SPAN; k++)
			want[k] = am[k] & bm[k];
		wrong += !ranges_are(&ret, want);
	}
	is_int(wrong, 0, "%u rounds of add, union, subtract, intersect", rounds);
	ranges_free(&a);
	ranges_free(&b);
	ranges_free(&ret);
}

static void test_edges(void)
{
	const uint64_t top = UINT64_MAX;
	struct ranges a = RANGES_INIT, b = RANGES_INIT, ret = RANGES_INIT;

	is_int(ranges_bytes(&a), 0, "empty: no bytes");
	is_int(ranges_find(&a, 0), 0, "empty: nothing found");
	is_int(ranges_has(&a, 0), false, "empty: has nothing");
	is_int(ranges_subtract(&ret, &a, &b), 0, "empty - empty");
	is_int(ret.n, 0, "is empty");
	is_int(ranges_add(&a, top - 4096, top), 0, "the end of the address space");
	is_int(ranges_add(&a, 0, 4096), 0, "its start");
	is_int(a.n, 2, "two");
	is_int(ranges_has(&a, top - 1), true, "has the last address");
	is_int(ranges_has(&a, top), false, "end is not in it");
	is_int(ranges_find(&a, top), 2, "nothing ends behind the end");
	is_int(ranges_add(&b, 0, top), 0, "everything");
	is_int(ranges_subtract(&ret, &b, &a), 0, "without the ends");
	is_int(ret.n, 1, "is one");
	is_int(ret.v[0].start, 4096, "from");
	is_int(ret.v[0].end == top - 4096, true, "to");
	is_int(ranges_add(&a, 4096, top - 4096), 0, "the middle");
	is_int(a.n, 1, "touches both");
	is_int(ranges_bytes(&a) == top, true, "bytes");
	ranges_clear(&a);
	is_int(a.n == 0 && a.size > 0, true, "clear keeps the memory");
	ranges_free(&a);
	is_int(a.v == NULL && a.size == 0, true, "free does not");
	ranges_free(&a);
	ranges_free(&b);
	ranges_free(&ret);
}

/* Many, at random places: the tail moves, and it must not take for ever. */
static void test_many(void)
{
	struct ranges a = RANGES_INIT;
	uint64_t before = kit_now_ns();

	for (uint64_t i = 0; i < 1000000; i++)
		ranges_add(&a, i * 8192, i * 8192 + 4096);
	diag("a million in ascending order: %llu us",
	     (unsigned long long)(kit_now_ns() - before) / 1000);
	is_int(a.n, 1000000, "a million");
	is_int(ranges_find(&a, 777777ull * 8192 + 4095), 777777, "found");
	is_int(ranges_has(&a, 777777ull * 8192 + 4096), false, "the gap is one");
	is_int(ranges_add(&a, 4096, 1000000ull * 8192), 0, "the gaps filled");
	is_int(a.n, 1, "one");
	ranges_free(&a);
}

#ifdef DECANT_FAULTS
static void test_no_memory(void)
{
	struct ranges a = RANGES_INIT, b = RANGES_INIT, ret = RANGES_INIT;

	is_int(ranges_add(&b, 0, 10), 0, "add");
	is_int(ranges_reserve(&b, 2), 0, "reserve of less than there is");
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 1, .repeat = 1000, .name = "realloc" });
	is_int(ranges_add(&a, 1, 2), -ENOMEM, "add");
	is_int(a.n, 0, "leaves it as it was");
	is_int(ranges_union(&ret, &a, &b), -ENOMEM, "union");
	is_int(ranges_subtract(&ret, &b, &a), -ENOMEM, "subtract");
	is_int(ranges_intersect(&ret, &b, &b), -ENOMEM, "intersect");
	is_int(ranges_reserve(&a, 1000), -ENOMEM, "reserve");
	is_int(ranges_reserve(&a, SIZE_MAX / 2), -ENOMEM, "reserve of more than there can be");
	is_int(ranges_add(&b, 20, 30), 0, "where there is room nothing is asked for");
	sys_fault_disarm();
	is_int(ranges_reserve(&a, 100), 0, "reserve");
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 1, .repeat = 1000 });
	for (uint64_t i = 100; i-- > 0;)
		is_int(ranges_add(&a, 2 * i, 2 * i + 1), 0, "what was reserved is there");
	is_int(sys_fault_calls(), 0, "without a call");
	sys_fault_disarm();
	is_int(a.n, 100, "all of it");
	ranges_free(&a);
	ranges_free(&b);
	ranges_free(&ret);
}
#endif

/* The oracle sees a set that is wrong. */
static void test_control(void)
{
	struct range v[] = { { 1, 3 }, { 5, 9 } };
	struct ranges r = { v, 2, 2 };
	bitmap map = { 0 };

	bitmap_add(map, 1, 3);
	bitmap_add(map, 5, 9);
	ok(ranges_are(&r, map), "right");
	v[1].end = 10;
	ok(!ranges_are(&r, map), "one too long");
	v[1] = (struct range){ 3, 9 };
	bitmap_add(map, 3, 5);
	ok(!ranges_are(&r, map), "two that touch");
	v[1] = v[0];
	ok(!ranges_are(&r, map), "the same twice");
}

int main(void)
{
	kit_start(60);
	tap_case("control: what is wrong is seen", test_control);
	tap_case("edges", test_edges);
	tap_case("random sets", test_random);
	tap_case("a million", test_many);
#ifdef DECANT_FAULTS
	tap_case("without memory", test_no_memory);
#endif
	return done();
}
