/* SPDX-License-Identifier: MIT */
/*
 * What each strategy would take: the rounds of rounds.c, gone through with what
 * the target was seen to write in such times.  Pure.
 */
#include <stdio.h>
#include <string.h>

#include "capture/dirty.h"

#define PLAN_PAGE 4096.0
#define PLAN_ROUNDS_MAX 30
#define PLAN_SAME_MAX 2
#define PLAN_SHRINK 0.7
#define PLAN_ENOUGH_BYTES (128.0 * 1024)
#define PLAN_MEMORY_BYTES (384.0 * 1024 * 1024) /* a round of so much stays in memory ... */
#define PLAN_KEEP_MAX (2 * PLAN_MEMORY_BYTES)   /* ... and so much of all of them */
#define PLAN_COPY_BYTES_S 2.5e9                 /* scattered pages into memory */
#define PLAN_STOP_BYTES_S 2.5e9                 /* in the stop: 400 ns per KiB */
#define PLAN_SCAN_NS_BYTE 0.004                 /* a scan that protects, per byte that is there */
#define PLAN_STRAGGLE_NS 1e6                    /* from the last scan to where all stand still */

struct plan {
	const struct curve *curve;
	double memory;           /* bytes that rounds copy */
	double bandwidth;
	double limit;            /* residue that is short enough */
	double total_ns, copied, kept;
	double last_ns;          /* of the last round, scan included */
	double residue;
};

static double plan_written(const struct plan *p, double ns)
{
	return curve_pages(p->curve, ns, p->memory / PLAN_PAGE) * PLAN_PAGE;
}

/* So many bytes are scanned for, copied and perhaps written. */
static void plan_round(struct plan *p, double bytes)
{
	double ns = p->memory * PLAN_SCAN_NS_BYTE;

	if (bytes <= PLAN_MEMORY_BYTES && p->kept + bytes <= PLAN_KEEP_MAX) {
		ns += bytes / PLAN_COPY_BYTES_S * 1e9;
		p->kept += bytes;
	} else {
		ns += (p->kept + bytes) / p->bandwidth * 1e9;
		p->kept = 0;
	}
	p->last_ns = ns;
	p->total_ns += ns;
	p->copied += bytes;
}

/* true: the residue is short enough, or does not get much shorter any more. */
static void plan_rounds(struct plan *p, struct decant_dirty_forecast *f)
{
	double last = -1, bytes;
	int same = 0;

	p->last_ns = p->total_ns = p->memory / p->bandwidth * 1e9 +
				   p->memory * PLAN_SCAN_NS_BYTE;
	p->copied = p->memory;
	while (f->rounds < PLAN_ROUNDS_MAX) {
		bytes = plan_written(p, p->last_ns);
		plan_round(p, bytes);
		f->rounds++;
		if (bytes <= PLAN_ENOUGH_BYTES)
			break;
		same = last >= 0 && bytes >= last * PLAN_SHRINK ? same + 1 : 0;
		if (same > (bytes <= p->limit ? 0 : PLAN_SAME_MAX))
			break;
		last = last < 0 || bytes < last ? bytes : last;
	}
	/* One more into memory, right before the stop. */
	plan_round(p, plan_written(p, p->last_ns));
	p->residue = plan_written(p, p->last_ns + PLAN_STRAGGLE_NS);
}

static void plan_precopy(const struct decant_capture_plan *before, const struct curve *curve,
			 const struct decant_dirty_plan *plan, struct decant_dirty_forecast *f)
{
	const struct decant_forecast *still = &before->forecasts[0];
	struct plan p = {
		.curve = curve, .bandwidth = (double)plan->bandwidth_bytes,
		.memory = (double)(before->memory_bytes - before->stopped_bytes),
		.limit = (double)plan->pause_max_ns / 2e9 * PLAN_STOP_BYTES_S,
	};
	double pause;

	if (!still->possible)
		return;
	plan_rounds(&p, f);
	pause = (double)still->pause_ns + p.residue / PLAN_STOP_BYTES_S * 1e9;
	f->pause_ns = (uint64_t)pause;
	f->residue_bytes = (uint64_t)p.residue;
	f->copied_bytes = (uint64_t)(p.copied + p.residue) + before->stopped_bytes;
	f->total_ns = (uint64_t)(p.total_ns + pause + (p.kept + p.residue +
				 (double)before->stopped_bytes) / p.bandwidth * 1e9);
	f->converges = p.residue <= p.limit;
	if (!f->converges)
		(void)snprintf(f->why, sizeof(f->why), "written faster than rounds can copy it");
}

static void plan_fork(const struct decant_capture_plan *before, const struct curve *curve,
		      const struct decant_dirty_plan *plan, struct decant_dirty_forecast *f)
{
	const struct decant_forecast *still = &before->forecasts[1];
	double memory = (double)before->memory_bytes;

	if (!still->possible)
		return;
	f->converges = 1;
	f->pause_ns = still->pause_ns;
	f->copied_bytes = still->copied_bytes;
	f->total_ns = f->pause_ns + (uint64_t)((double)f->copied_bytes /
					       (double)plan->bandwidth_bytes * 1e9);
	f->twice_bytes = (uint64_t)(curve_pages(curve, (double)f->total_ns, memory / PLAN_PAGE) *
				    PLAN_PAGE);
}

static void plan_stop(const struct decant_capture_plan *before,
		      const struct decant_dirty_plan *plan, struct decant_dirty_forecast *f)
{
	const struct decant_forecast *still = &before->forecasts[0];
	/* What of precopy's stop is not copying. */
	uint64_t base = still->possible ? still->pause_ns : 0;

	f->converges = 1;
	f->copied_bytes = before->memory_bytes;
	f->pause_ns = base + (uint64_t)((double)f->copied_bytes /
					(double)plan->bandwidth_bytes * 1e9);
	f->total_ns = f->pause_ns;
}

void dirty_forecast(const struct decant_capture_plan *before, const struct curve *curve,
		    struct decant_dirty_plan *ret)
{
	struct decant_dirty_forecast *f = ret->forecasts, *best = NULL;

	for (unsigned i = 0; i < 3; i++) {
		f[i] = (struct decant_dirty_forecast){
			.strategy = DECANT_STRATEGY_PRECOPY + i,
			.possible = before->forecasts[i].possible,
		};
		(void)snprintf(f[i].why, sizeof(f[i].why), "%s", before->forecasts[i].why);
	}
	plan_precopy(before, curve, ret, &f[0]);
	plan_fork(before, curve, ret, &f[1]);
	plan_stop(before, ret, &f[2]);
	for (unsigned i = 0; i < 3; i++)
		if (f[i].possible && f[i].converges && f[i].pause_ns <= ret->pause_max_ns &&
		    (!best || f[i].total_ns < best->total_ns))
			best = &f[i];
	ret->strategy = best ? best->strategy : DECANT_STRATEGY_AUTO;
	ret->memory_bytes = before->memory_bytes;
	ret->stopped_bytes = before->stopped_bytes;
	(void)memcpy(ret->stopped_why, before->stopped_why, sizeof(ret->stopped_why));
}
