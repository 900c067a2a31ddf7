/* SPDX-License-Identifier: MIT */
/* The intervals and the result of `dirty`, one line of JSON each. */
#include <stdio.h>

#include "base/json.h"
#include "core_options.h"
#include "dirty_report.h"
#include "json_line.h"

static void json_access(struct json *j, uint32_t flags)
{
	const char text[5] = {
		flags & DECANT_DIRTY_READ ? 'r' : '-', flags & DECANT_DIRTY_WRITE ? 'w' : '-',
		flags & DECANT_DIRTY_EXEC ? 'x' : '-', flags & DECANT_DIRTY_SHARED ? 's' : 'p',
	};

	json_member_string(j, "access", text);
}

/* Those in which something was written, or that cannot be seen. */
static void json_mappings(struct json *j, const struct decant_dirty_interval *i)
{
	json_key(j, "mappings");
	json_array(j);
	for (size_t k = 0; k < i->mappings_n; k++) {
		const struct decant_dirty_mapping *m = &i->mappings[k];

		if (!m->pages && !(m->flags & DECANT_DIRTY_UNSEEN))
			continue;
		json_object(j);
		json_member_u64(j, "start", m->start);
		json_member_u64(j, "end", m->end);
		json_member_string(j, "name", m->name);
		json_access(j, m->flags);
		json_member_bool(j, "tracked", !(m->flags & DECANT_DIRTY_UNSEEN));
		json_member_u64(j, "pages", m->pages);
		json_end(j);
	}
	json_end(j);
}

static void json_pages(struct json *j, const char *name, uint64_t pages)
{
	json_key(j, name);
	if (pages == UINT64_MAX)
		json_null(j);
	else
		json_u64(j, pages);
}

void dirty_json_interval(struct buf *ret, const struct decant_dirty_interval *i, bool ranges)
{
	struct json j = JSON_INIT;

	json_object(&j);
	json_member_string(&j, "event", "interval");
	json_member_u64(&j, "begin_ns", i->begin_ns);
	json_member_u64(&j, "end_ns", i->end_ns);
	json_member_u64(&j, "looks", i->looks);
	json_member_u64(&j, "pages", i->pages);
	json_member_u64(&j, "gone_pages", i->gone_pages);
	json_pages(&j, "new_pages", i->new_pages);
	json_pages(&j, "seen_pages", i->seen_pages);
	json_mappings(&j, i);
	if (ranges) {
		json_key(&j, "ranges");
		json_array(&j);
		for (size_t k = 0; k < i->ranges_n; k++) {
			json_array(&j);
			json_u64(&j, i->ranges[k].start);
			json_u64(&j, i->ranges[k].end);
			json_end(&j);
		}
		json_end(&j);
	}
	json_end(&j);
	json_line_append(ret, &j);
}

static void json_forecasts(struct json *j, const struct decant_dirty_plan *p)
{
	json_key(j, "forecasts");
	json_array(j);
	for (size_t i = 0; i < 3; i++) {
		const struct decant_dirty_forecast *f = &p->forecasts[i];

		json_object(j);
		json_member_string(j, "strategy", core_strategy_name(f->strategy));
		json_member_bool(j, "possible", f->possible);
		json_member_bool(j, "converges", f->converges);
		json_member_u64(j, "rounds", f->rounds);
		json_member_u64(j, "total_ns", f->total_ns);
		json_member_u64(j, "pause_ns", f->pause_ns);
		json_member_u64(j, "copied_bytes", f->copied_bytes);
		json_member_u64(j, "residue_bytes", f->residue_bytes);
		json_member_u64(j, "twice_bytes", f->twice_bytes);
		json_member_string(j, "why", f->why);
		json_end(j);
	}
	json_end(j);
}

static void json_plan(struct json *j, const struct decant_dirty_plan *p)
{
	static const char *const from[] = { "given", "disk", "reading" };

	json_key(j, "plan");
	json_object(j);
	json_member_u64(j, "bandwidth_bytes_per_s", p->bandwidth_bytes);
	json_member_string(j, "bandwidth_from", from[p->bandwidth_from % 3]);
	json_member_u64(j, "max_pause_ns", p->pause_max_ns);
	json_member_u64(j, "memory_bytes", p->memory_bytes);
	json_member_u64(j, "stopped_bytes", p->stopped_bytes);
	json_member_string(j, "stopped_why", p->stopped_why);
	json_member_string(j, "strategy", p->strategy == DECANT_STRATEGY_AUTO ?
						  NULL : core_strategy_name(p->strategy));
	json_forecasts(j, p);
	json_key(j, "windows");
	json_array(j);
	for (unsigned i = 0; i < p->windows_n; i++) {
		json_object(j);
		json_member_u64(j, "ns", p->windows[i].ns);
		json_member_u64(j, "pages", p->windows[i].pages);
		json_member_u64(j, "n", p->windows[i].n);
		json_end(j);
	}
	json_end(j);
	json_end(j);
}

void dirty_json_result(struct buf *ret, const struct dirty_result *r,
		       const struct dirty_options *o)
{
	struct json j = JSON_INIT;

	json_object(&j);
	json_member_string(&j, "event", "result");
	json_member_i64(&j, "status", r->status);
	json_member_i64(&j, "pid", o->pid);
	json_member_string(&j, "name", r->name);
	json_member_string(&j, "tracking", r->report.tracking[0] ? r->report.tracking : NULL);
	json_member_u64(&j, "stops", r->report.stops);
	json_member_u64(&j, "pause_ns", r->report.pause_ns);
	json_member_u64(&j, "whole_pause_ns", r->report.whole_pause_ns);
	json_member_u64(&j, "intervals", r->intervals);
	json_member_u64(&j, "time_ns", r->time_ns);
	json_member_u64(&j, "pages", r->pages);
	json_pages(&j, "seen_pages", r->seen_pages);
	json_member_string(&j, "ended", r->ended ? r->end : NULL);
	json_member_string(&j, "svg", r->error ? NULL : o->svg);
	if (r->has_plan) {
		json_plan(&j, &r->plan);
	} else {
		json_key(&j, "plan");
		json_null(&j);
	}
	json_line_error(&j, r->error, r->message);
	json_end(&j);
	json_line_append(ret, &j);
}
