/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "plan/explain.h"
#include "plan/expect.h"

_Static_assert(sizeof(((struct fit *)0)->why_not) == sizeof(((struct decant_refusal *)0)->why),
	       "a reason is copied as it is");

/* Where a transfer of one page cannot be torn: it is copied as one piece. */
#define EXPLAIN_PAGE_BYTES 4096

/* Add a sentence if there is room for all of it, and the route did not say so. */
static void explain_add(char *text, size_t size, const char *sentence, const char *words)
{
	size_t len = strlen(text);

	if (strstr(text, words) || len + strlen(sentence) + 3 > size)
		return;
	snprintf(text + len, size - len, "%s%s", len ? "; " : "", sentence);
}

/* The pages themselves are handed over, which the kernel is free not to do. */
static bool explain_handed_over(const struct query *q, const struct fit *fit)
{
	if (fit->copies > 0)
		return false;
	return q->to->kind == DECANT_END_SOCKET || q->to->kind == DECANT_END_PIPE;
}

static bool explain_changing(const struct query *q)
{
	if (q->to->kind == DECANT_END_NULL)
		return false;
	switch (q->from->kind) {
	case DECANT_END_FILE:
	case DECANT_END_MEMORY:
	case DECANT_END_PROCESS:
		return !q->from->immutable;
	default:
		return false;
	}
}

static void explain_note(const struct query *q, const struct fit *fit, struct decant_plan *ret)
{
	const size_t size = sizeof(ret->note);

	snprintf(ret->note, size, "%s", fit->note);
	if (q->from->immutable && fit->guarantee == DECANT_STABLE)
		explain_add(ret->note, size, q->from->immutable, q->from->immutable);
	if (explain_handed_over(q, fit))
		explain_add(ret->note, size, "0 copies (the kernel may copy)", "kernel may copy");
	if (fit->atomic)
		explain_add(ret->note, size, "all bytes are of one instant", "one instant");
	else if (explain_changing(q) && plan_expect(q) > EXPLAIN_PAGE_BYTES)
		explain_add(ret->note, size,
			    "not of one instant: a writer may change pages in between",
			    "one instant");
	if (q->to->kind == DECANT_END_SOCKET && q->to->local)
		explain_add(ret->note, size, "the peer is on this host", "on this host");
}

static const char *explain_delivered(const struct query *q)
{
	if (q->until == DECANT_UNTIL_SENT && q->to->kind != DECANT_END_FILE)
		return "not waited for: ends when the kernel has everything";
	switch (q->to->kind) {
	case DECANT_END_FILE:
		return q->flags & DECANT_SYNC ? "on stable storage" :
						"written to the file, not yet durable";
	case DECANT_END_PIPE:
		return "taken out of the pipe by its reader";
	case DECANT_END_SOCKET:
		if (q->to->tcp)
			return "acknowledged by the peer's kernel; its program may not have it yet";
		return "taken by the peer";
	case DECANT_END_MEMORY:
		return "in the memory";
	case DECANT_END_NULL:
		return "thrown away";
	default:
		return "written to the descriptor";
	}
}

static uint64_t explain_per_kib(const struct query *q, uint64_t ns)
{
	return (uint64_t)((double)ns * 1024 / (double)plan_expect(q) + 0.5);
}

static void explain_refusal(const struct query *q, const struct route *r,
			    const struct plan_row *row, const struct plan_row *chosen, bool forced,
			    struct decant_plan *ret)
{
	struct decant_refusal *ref = &ret->refused[ret->refused_n++];

	snprintf(ref->route, sizeof(ref->route), "%s", r->ops.name);
	ref->copies = row->fit.copies;
	ref->guarantee = row->fit.guarantee;
	if (row->verdict != JUDGE_FITS)
		memcpy(ref->why, row->fit.why_not, sizeof(ref->why));
	else if (forced)
		snprintf(ref->why, sizeof(ref->why), "fits, but another route was demanded");
	else
		snprintf(ref->why, sizeof(ref->why),
			 "fits, but would %s: %" PRIu64 " ns/KiB (%" PRIu64
			 " of CPU) against %" PRIu64 " (%" PRIu64 ")",
			 row->cost.score < chosen->cost.score ? "save too little to tell" :
								"cost more",
			 explain_per_kib(q, row->cost.ns), explain_per_kib(q, row->cost.cpu_ns),
			 explain_per_kib(q, chosen->cost.ns),
			 explain_per_kib(q, chosen->cost.cpu_ns));
}

/* Which of two refused routes is the better one; by copies, then by place. */
static bool explain_before(const struct plan_row *rows, unsigned a, unsigned b)
{
	bool a_other = rows[a].verdict == JUDGE_OTHER_ENDS;
	bool b_other = rows[b].verdict == JUDGE_OTHER_ENDS;

	if (a_other != b_other)
		return b_other;
	if (rows[a].fit.copies != rows[b].fit.copies)
		return rows[a].fit.copies < rows[b].fit.copies;
	return a < b;
}

static bool explain_better(const struct plan_row *rows, unsigned i, int chosen)
{
	return chosen < 0 || (int)i < chosen || rows[i].fit.copies < rows[chosen].fit.copies;
}

static void explain_refusals(const struct query *q, const struct cost_table *costs,
			     const struct plan_row *rows, int chosen, bool forced,
			     struct decant_plan *ret)
{
	unsigned order[DECANT_ROUTES_MAX], n = 0, i, j;

	for (i = 0; i < costs->routes_n; i++) {
		if ((int)i == chosen || !explain_better(rows, i, chosen))
			continue;
		for (j = n++; j > 0 && explain_before(rows, i, order[j - 1]); j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
	for (i = 0; i < n; i++)
		explain_refusal(q, costs->routes[order[i]], &rows[order[i]],
				chosen < 0 ? NULL : &rows[chosen], forced, ret);
}

int explain_best_refusal(const struct cost_table *costs, const struct plan_row *rows,
			 const char *forced)
{
	int best = -1;
	unsigned i;

	for (i = 0; i < costs->routes_n; i++) {
		if (forced && strcmp(costs->routes[i]->ops.name, forced) != 0)
			continue;
		if (best < 0 || explain_before(rows, i, (unsigned)best))
			best = (int)i;
	}
	return best;
}

void explain_plan(const struct query *q, const struct cost_table *costs,
		  const struct plan_row *rows, int chosen, bool forced, struct decant_plan *ret)
{
	const struct route *r;

	ret->refused_n = 0;
	ret->len = plan_len(q);
	ret->route[0] = ret->snapshotted[0] = ret->delivered[0] = ret->note[0] = '\0';
	ret->copies = 0;
	ret->guarantee = q->guarantee;
	ret->time_ns = ret->cpu_ns = 0;
	explain_refusals(q, costs, rows, chosen, forced, ret);
	if (chosen < 0)
		return;
	r = costs->routes[chosen];
	ret->copies = rows[chosen].fit.copies;
	ret->guarantee = rows[chosen].fit.guarantee;
	if (ret->len != DECANT_TO_END) {
		ret->time_ns = rows[chosen].cost.ns;
		ret->cpu_ns = rows[chosen].cost.cpu_ns;
	}
	snprintf(ret->route, sizeof(ret->route), "%s", r->ops.name);
	snprintf(ret->snapshotted, sizeof(ret->snapshotted), "%s",
		 r->snapshotted ? r->snapshotted : "");
	snprintf(ret->delivered, sizeof(ret->delivered), "%s", explain_delivered(q));
	explain_note(q, &rows[chosen].fit, ret);
}
