/* SPDX-License-Identifier: MIT */
/* What is written in a time, and what captures make of it: without a process. */
#include <math.h>
#include <string.h>

#include "capture/dirty.h"
#include "tap.h"

#define MS 1000000ull
#define MIB (1ull << 20)
#define PAGE 4096.0
#define ALL 1e12

static bool near(double got, double want)
{
	bool good = fabs(got - want) <= 1e-6 * (fabs(want) + 1);

	if (!good)
		diag("got %g, wanted %g", got, want);
	return good;
}

static void points(void)
{
	struct decant_dirty_window v[DECANT_DIRTY_WINDOWS_MAX];
	struct curve c = CURVE_INIT;

	is_int(curve_points(&c, v), 0, "none");
	ok(near(curve_pages(&c, 1e9, ALL), 0), "and nothing is known");
	curve_add(&c, 5 * MS, 40);
	curve_add(&c, 6 * MS, 60);
	curve_add(&c, 1000 * MS, 500);
	curve_add(&c, 1 * MS, 10);
	is_int(curve_points(&c, v), 3, "similar lengths are one");
	is_int(v[0].ns, MS, "by length");
	is_int(v[1].ns, 5500000, "their average");
	is_int(v[1].pages, 50, "and that of the pages");
	is_int(v[1].n, 2, "of two");
	ok(near(curve_pages(&c, 0.5e6, ALL), 5), "before the first: in proportion");
	ok(near(curve_pages(&c, 1e6, ALL), 10), "at a point");
	ok(near(curve_pages(&c, 3.25e6, ALL), 30), "between two");
	ok(near(curve_pages(&c, 1994.5e6, ALL), 950), "behind: as steep as before");
	ok(near(curve_pages(&c, 1e15, 600), 600), "at most all");
}

static void quieter(void)
{
	struct curve c = CURVE_INIT;
	double last = 0;

	curve_add(&c, 1 * MS, 1000);
	curve_add(&c, 100 * MS, 200);
	curve_add(&c, 3000 * MS, 4000);
	for (double ns = 1e4; ns < 1e11; ns *= 1.3) {
		double pages = curve_pages(&c, ns, ALL);

		ok(pages >= last, "never less in %g ns", ns);
		last = pages;
	}
	ok(near(curve_pages(&c, 50e6, ALL), 1000), "a quieter time does not count against it");
}

static void lengths(void)
{
	struct decant_dirty_window v[DECANT_DIRTY_WINDOWS_MAX];
	struct curve c = CURVE_INIT;
	unsigned n;

	curve_add(&c, 0, 0);
	curve_add(&c, UINT64_MAX, UINT64_MAX);
	for (unsigned i = 0; i < 64; i++)
		curve_add(&c, 1ull << i, i);
	n = curve_points(&c, v);
	ok(n > 30 && n <= DECANT_DIRTY_WINDOWS_MAX, "%u points", n);
}

/* --------------------------------------------------------------- forecasts */

static struct decant_capture_plan before(uint64_t mib)
{
	struct decant_capture_plan p = DECANT_CAPTURE_PLAN_INIT;

	p.memory_bytes = mib * MIB;
	for (unsigned i = 0; i < 3; i++)
		p.forecasts[i] = (struct decant_forecast){
			.strategy = DECANT_STRATEGY_PRECOPY + i, .possible = 1,
			.pause_ns = i == 1 ? 14 * MS * mib / 1024 : MS / 2,
			.copied_bytes = p.memory_bytes,
		};
	return p;
}

static struct decant_dirty_plan forecast(const struct decant_capture_plan *p,
					 const struct curve *c, uint64_t mib_s)
{
	struct decant_dirty_plan ret = DECANT_DIRTY_PLAN_INIT;

	ret.bandwidth_bytes = mib_s * MIB;
	ret.pause_max_ns = 5 * MS;
	dirty_forecast(p, c, &ret);
	return ret;
}

/* Nothing is written: one round more, an empty one. */
static void still(void)
{
	struct decant_capture_plan p = before(1024);
	struct curve c = CURVE_INIT;
	struct decant_dirty_plan f;

	curve_add(&c, 1000 * MS, 0);
	f = forecast(&p, &c, 1024);
	is_int(f.forecasts[0].rounds, 1, "one look finds nothing");
	is_int(f.forecasts[0].residue_bytes, 0, "no residue");
	is_int(f.forecasts[0].pause_ns, MS / 2, "the pause is the stop's own");
	ok(f.forecasts[0].total_ns >= 1000 * MS && f.forecasts[0].total_ns < 1100 * MS,
	   "a second for a GiB at a GiB a second");
	is_int(f.forecasts[1].pause_ns, 14 * MS, "fork: as it was");
	is_int(f.forecasts[1].twice_bytes, 0, "and nothing is copied");
	is_int(f.forecasts[2].pause_ns / (100 * MS), 10, "stop: all of it in the stop");
	is_int(f.strategy, DECANT_STRATEGY_PRECOPY, "the best");
}

/* The same pages again and again: the mean rate would say that it never ends. */
static void working_set(void)
{
	struct decant_capture_plan p = before(1024);
	struct curve set = CURVE_INIT, spread = CURVE_INIT;
	struct decant_dirty_plan f, g;

	for (uint64_t ns = MS; ns < 20000 * MS; ns *= 2) {
		double ms = (double)ns / 1e6, pages = ms * 200;

		/* 200 pages a ms: of 256, or anywhere. */
		curve_add(&set, ns, (uint64_t)(pages < 256 ? pages : 256));
		curve_add(&spread, ns, (uint64_t)(pages < 262144 ? pages : 262144));
	}
	f = forecast(&p, &set, 500);
	g = forecast(&p, &spread, 500);
	is_int(f.forecasts[0].converges, 1, "a small set converges");
	ok(f.forecasts[0].residue_bytes <= 256 * PAGE, "to no more than it");
	ok(f.forecasts[0].rounds <= 4, "soon: %u rounds", f.forecasts[0].rounds);
	ok(g.forecasts[0].residue_bytes > f.forecasts[0].residue_bytes, "spread: more is left");
	ok(g.forecasts[0].copied_bytes > f.forecasts[0].copied_bytes, "and more is copied");
	ok(g.forecasts[1].twice_bytes > f.forecasts[1].twice_bytes, "twice by a shadow, too");
	is_int(f.forecasts[1].twice_bytes, 256 * (int)PAGE, "the set, once");
}

static void diverges(void)
{
	struct decant_capture_plan p = before(4096);
	struct decant_dirty_plan f;
	struct curve c = CURVE_INIT;

	for (uint64_t ns = MS; ns < 20000 * MS; ns *= 2)
		curve_add(&c, ns, ns / 1000 < 1048576 ? ns / 1000 : 1048576);
	f = forecast(&p, &c, 300);
	is_int(f.forecasts[0].converges, 0, "4 GB a second, all over");
	ok(f.forecasts[0].why[0], "says so");
	ok(f.forecasts[0].pause_ns > 5 * MS, "the pause is long");
	ok(f.forecasts[0].rounds <= 30, "it ends");
	is_int(f.strategy, DECANT_STRATEGY_AUTO, "none is short enough: fork takes 56 ms");
	is_int(f.forecasts[1].converges, 1, "fork does not depend on it");
}

static void impossible(void)
{
	struct decant_capture_plan p = before(100);
	struct decant_dirty_plan f;
	struct curve c = CURVE_INIT;

	curve_add(&c, 1000 * MS, 10);
	p.forecasts[0].possible = 0;
	(void)snprintf(p.forecasts[0].why, sizeof(p.forecasts[0].why), "because");
	p.forecasts[1].possible = 0;
	f = forecast(&p, &c, 100);
	is_int(f.forecasts[0].possible, 0, "no precopy");
	is_str(f.forecasts[0].why, "because", "for its reason");
	is_int(f.forecasts[0].rounds, 0, "no rounds");
	ok(f.forecasts[2].possible, "the stop is always possible");
	is_int(f.strategy, DECANT_STRATEGY_AUTO, "but too long");
}

int main(void)
{
	tap_case("points of a curve", points);
	tap_case("times of different activity", quieter);
	tap_case("any length", lengths);
	tap_case("a process that writes nothing", still);
	tap_case("a working set", working_set);
	tap_case("writes that outrun the copy", diverges);
	tap_case("what is not possible", impossible);
	return done();
}
