/* SPDX-License-Identifier: MIT */
#include "capture/forecast.h"

#include <stdio.h>

#define FORECAST_BASE_NS 300000ull           /* interrupt, registers, let go */
#define FORECAST_CALL_NS 300000ull           /* remote calls: double clone */
#define FORECAST_THREAD_NS 20000ull
#define FORECAST_THREADS_MAX 16u
#define FORECAST_MAPPING_NS 1500ull
#define FORECAST_SCAN_NS_MIB 500ull          /* looking for what was written, 4K pages */
#define FORECAST_FORK_NS_MIB 13500ull        /* page tables of 4K pages */
#define FORECAST_FORK_HUGE_NS_MIB 1500ull
#define FORECAST_COPY_NS_MIB 300000ull       /* in the stop */
#define FORECAST_DISK_NS_MIB 600000ull
#define FORECAST_TRACK_MAX_BYTES_S (700ull << 20) /* written faster than it can be copied */
#define FORECAST_SMALL_BYTES (64ull << 20)
#define FORECAST_SMALL_PAUSE_NS 1500000ull

static uint64_t forecast_per_mib(uint64_t bytes, uint64_t ns)
{
	return (uint64_t)((double)bytes / (1 << 20) * (double)ns);
}

static uint64_t forecast_base(const struct forecast_facts *f)
{
	/* More than these are stopped before the others, while they idle. */
	unsigned threads = f->threads < FORECAST_THREADS_MAX ? f->threads : FORECAST_THREADS_MAX;

	return FORECAST_BASE_NS + threads * FORECAST_THREAD_NS +
	       f->mappings * FORECAST_MAPPING_NS;
}

static void forecast_precopy(const struct forecast_facts *f, struct decant_forecast *r)
{
	uint64_t scan = forecast_per_mib(f->private_bytes - f->huge_bytes, FORECAST_SCAN_NS_MIB);
	uint64_t base = forecast_base(f) + scan, dirty = f->dirty_bytes_per_s;
	uint64_t residue;
	double again;

	if (f->stream || f->no_track) {
		(void)snprintf(r->why, sizeof(r->why), "%s",
			       f->stream ? "a stream takes no page twice" : f->no_track);
		return;
	}
	if (dirty == UINT64_MAX)
		dirty = 0;
	if (dirty > FORECAST_TRACK_MAX_BYTES_S) {
		(void)snprintf(r->why, sizeof(r->why), "written faster (%llu MiB/s) than it can be "
			       "copied", (unsigned long long)(dirty >> 20));
		r->possible = 0;
		return;
	}
	/* What is written while the last scan and copy last. */
	residue = (uint64_t)((double)dirty * ((double)base * 2 + 1e6) / 1e9);
	again = (double)dirty / (double)FORECAST_TRACK_MAX_BYTES_S;
	r->possible = 1;
	r->pause_ns = base + forecast_per_mib(residue + f->stopped_bytes[0], FORECAST_COPY_NS_MIB);
	r->copied_bytes = (uint64_t)((double)f->private_bytes / (1 - again * 0.8)) +
			  f->stopped_bytes[0];
	r->total_ns = forecast_per_mib(r->copied_bytes, FORECAST_DISK_NS_MIB) + 2 * base;
}

static void forecast_fork(const struct forecast_facts *f, struct decant_forecast *r)
{
	if (f->no_fork) {
		(void)snprintf(r->why, sizeof(r->why), "%s", f->no_fork);
		return;
	}
	r->possible = 1;
	r->pause_ns = forecast_base(f) + FORECAST_CALL_NS +
		      forecast_per_mib(f->private_bytes - f->huge_bytes, FORECAST_FORK_NS_MIB) +
		      forecast_per_mib(f->huge_bytes, FORECAST_FORK_HUGE_NS_MIB) +
		      forecast_per_mib(f->stopped_bytes[1], FORECAST_COPY_NS_MIB);
	r->copied_bytes = f->private_bytes + f->stopped_bytes[1];
	r->total_ns = r->pause_ns + forecast_per_mib(r->copied_bytes, FORECAST_DISK_NS_MIB);
}

static void forecast_stop(const struct forecast_facts *f, struct decant_forecast *r)
{
	r->possible = 1;
	r->copied_bytes = f->private_bytes + f->stopped_bytes[0];
	r->pause_ns = forecast_base(f) + forecast_per_mib(r->copied_bytes, FORECAST_DISK_NS_MIB);
	r->total_ns = r->pause_ns;
}

static uint32_t forecast_choose(const struct forecast_facts *f,
				const struct decant_capture_plan *p)
{
	const struct decant_forecast *pre = &p->forecasts[0], *fork = &p->forecasts[1];
	bool pre_ok = pre->possible && pre->pause_ns <= f->pause_max_ns;
	bool fork_ok = fork->possible && fork->pause_ns <= f->pause_max_ns;

	if (f->frozen)
		return DECANT_STRATEGY_STOP;
	/* A shadow is read once and splits no huge page that is not written to. */
	if (fork_ok && (!pre_ok || (f->private_bytes <= FORECAST_SMALL_BYTES && !f->fork_shows &&
				    fork->pause_ns <= FORECAST_SMALL_PAUSE_NS)))
		return DECANT_STRATEGY_FORK;
	if (pre_ok)
		return DECANT_STRATEGY_PRECOPY;
	if (p->forecasts[2].pause_ns <= f->pause_max_ns)
		return DECANT_STRATEGY_STOP;
	return DECANT_STRATEGY_AUTO;
}

void forecast_make(const struct forecast_facts *f, struct decant_capture_plan *ret)
{
	for (unsigned i = 0; i < 3; i++)
		ret->forecasts[i] = (struct decant_forecast){
			.strategy = DECANT_STRATEGY_PRECOPY + i,
		};
	forecast_precopy(f, &ret->forecasts[0]);
	forecast_fork(f, &ret->forecasts[1]);
	forecast_stop(f, &ret->forecasts[2]);
	ret->strategy = forecast_choose(f, ret);
}

const char *forecast_name(uint32_t strategy)
{
	static const char *const names[] = { "auto", "precopy", "fork", "stop" };

	return strategy < 4 ? names[strategy] : "?";
}
