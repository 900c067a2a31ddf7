/* SPDX-License-Identifier: MIT */
#include "lib/attack.h"

#include <stdio.h>
#include <string.h>

#include "lib/kit.h"

#define ATTACK_LIMIT_MS 30000
#define ATTACK_PATIENCE_MS 20 /* no event for so long: the reader takes a bit, */
#define ATTACK_TRUST 3        /* and after so many times is quicker about it */
#define ATTACK_SIP 65536
#define ATTACK_SLOW_MS 300    /* what the slow link takes for the whole */

static void attack_ends(const struct attack *a, struct source *from, struct sink *to)
{
	struct pair_options o = { .holds = a->small ? 0 : a->len, .small = a->small };
	uint64_t kbit = a->len * 8 / ATTACK_SLOW_MS;

	if (kbit < 400)
		kbit = 400;
	/* how many shapings there are is bounded: each is two commands */
	while (kbit & (kbit - 1))
		kbit &= kbit - 1;
	o.rate_kbit = (uint32_t)kbit;
	/* the sink first: it forks, and memory shared with a child is copied on write */
	sink_open(to, a->to, a->to_fs, a->offset, a->len, &o);
	source_open(from, a->from, a->from_fs, a->offset, a->len);
}

static bool attack_fits(struct attack_result *ret, struct decant *d,
			const struct decant_transfer *t)
{
	struct decant_plan plan = DECANT_PLAN_INIT;
	int r = decant_plan(d, t, &plan);

	ret->fits = r == 0;
	ret->claimed = plan.guarantee;
	snprintf(ret->why, sizeof(ret->why), "%s",
		 r == 0 ? "" : plan.refused_n ? plan.refused[0].why : decant_strerror(d));
	return ret->fits;
}

/* Wait for an event while the reader drinks as little as it can. */
static void attack_wait(struct decant *d, struct track *tr, struct sink *to,
			enum decant_event_type type)
{
	uint64_t until = kit_now_ns() + (uint64_t)ATTACK_LIMIT_MS * 1000000u;
	unsigned sips = 0;

	while (!track_until(d, tr, type, sips++ < ATTACK_TRUST ? ATTACK_PATIENCE_MS : 1) &&
	       !tr->seen[DECANT_ENDED]) {
		if (kit_now_ns() > until)
			return;
		sink_drain(to, ATTACK_SIP, 0);
	}
}

static void attack_move(struct attack_result *ret, struct decant *d, const struct attack *a,
			struct decant_transfer *t, struct source *from, struct sink *to)
{
	struct track *tr = &ret->track;
	int64_t id = track_submit(d, t, tr);

	if (id < 0) {
		snprintf(tr->wrong, sizeof(tr->wrong), "submit: %s", decant_strerror(d));
		return;
	}
	if (a->after)
		attack_wait(d, tr, to, a->after);
	else
		kit_sleep_ms(a->delay_ms);
	if (!a->after || tr->seen[a->after]) {
		track_take(d);
		ret->damaged_early = !tr->seen[DECANT_SNAPSHOTTED];
		source_damage(from, a->damage);
		ret->damaged = true;
	}
	attack_wait(d, tr, to, DECANT_ENDED);
	if (tr->seen[DECANT_ENDED])
		sink_finish(to, tr->last[DECANT_ENDED].bytes);
	ret->report = to->report;
	ret->got = to->got;
}

void attack_run(struct attack_result *ret, struct decant *d, const struct attack *a)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct source from;
	struct sink to;

	*ret = (struct attack_result){ 0 };
	if (!source_possible(a->from, a->len))
		return;
	attack_ends(a, &from, &to);
	t.from = from.end;
	t.to = to.end;
	t.len = a->len;
	t.route = a->route;
	t.guarantee = a->guarantee;
	t.until = a->until;
	t.flags = a->flags;
	if (attack_fits(ret, d, &t))
		attack_move(ret, d, a, &t, &from, &to);
	if (ret->fits && !ret->track.seen[DECANT_ENDED]) {
		/* the ends must live as long as the transfer */
		if (decant_cancel(d, ret->track.id) == 0)
			attack_wait(d, &ret->track, &to, DECANT_ENDED);
		ret->track.seen[DECANT_ENDED] = 0;
	}
	source_close(&from);
	sink_close(&to);
}

const char *attack_text(const struct attack *a)
{
	static char text[160];

	snprintf(text, sizeof(text), "%s: %s@%s to %s@%s, %llu bytes from %llu, %s%s",
		 a->route ? a->route : "planned", source_names[a->from], fs_names[a->from_fs],
		 sink_names[a->to], fs_names[a->to_fs], (unsigned long long)a->len,
		 (unsigned long long)a->offset, damage_names[a->damage], a->small ? ", small" : "");
	return text;
}

const char *attack_stable(const struct attack *a, const struct attack_result *r)
{
	static char text[700];
	const char *verdict = track_verdict(&r->track, 0);
	const struct decant_event *s = &r->track.last[DECANT_SNAPSHOTTED];

	if (verdict[0])
		snprintf(text, sizeof(text), "%s", verdict);
	else if (!r->damaged)
		snprintf(text, sizeof(text), "SNAPSHOTTED never came");
	else if (s->flags & DECANT_NOT_CERTAIN)
		snprintf(text, sizeof(text), "SNAPSHOTTED is not certain");
	else if (!pattern_clean(&r->report))
		snprintf(text, sizeof(text), "%s", pattern_text(&r->report));
	else if (r->got != a->len || r->track.last[DECANT_ENDED].bytes != a->len)
		snprintf(text, sizeof(text), "%llu bytes came, ENDED says %llu",
			 (unsigned long long)r->got,
			 (unsigned long long)r->track.last[DECANT_ENDED].bytes);
	else
		return "";
	return text;
}
