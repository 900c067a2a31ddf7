/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "plan/judge.h"

#define JUDGE_KINDS (DECANT_END_ZERO + 1)

static const char *const judge_kind_names[JUDGE_KINDS] = {
	[DECANT_END_FD] = "another descriptor",
	[DECANT_END_FILE] = "a file",
	[DECANT_END_PIPE] = "a pipe",
	[DECANT_END_SOCKET] = "a socket",
	[DECANT_END_MEMORY] = "memory",
	[DECANT_END_PROCESS] = "memory of a process",
	[DECANT_END_NULL] = "null",
	[DECANT_END_ZERO] = "zero",
};

/* "a file, a pipe or memory" */
static void judge_kinds_text(uint32_t kinds, char *ret, size_t size)
{
	uint32_t left = kinds & ((1u << JUDGE_KINDS) - 1);
	size_t len = 0;
	unsigned i;

	ret[0] = '\0';
	for (i = 0; i < JUDGE_KINDS && len < size; i++) {
		if (!(left & (1u << i)))
			continue;
		left &= ~(1u << i);
		len += (size_t)snprintf(ret + len, size - len, "%s%s",
					len == 0 ? "" : left ? ", " : " or ", judge_kind_names[i]);
	}
}

static bool judge_refuse_kind(const struct end *e, uint32_t kinds, struct fit *fit)
{
	char wanted[120];

	if (fit->quiet)
		return false;
	judge_kinds_text(kinds, wanted, sizeof(wanted));
	return route_refuse(fit, "the %s is %s, this route needs %s",
			    e->side == END_SOURCE ? "source" : "sink",
			    judge_kind_names[e->kind], wanted);
}

static bool judge_ends(const struct route *r, const struct query *q, struct fit *fit)
{
	if (!(r->from_kinds & ROUTE_KIND(q->from->kind)))
		return judge_refuse_kind(q->from, r->from_kinds, fit);
	if (!(r->to_kinds & ROUTE_KIND(q->to->kind)))
		return judge_refuse_kind(q->to, r->to_kinds, fit);
	return true;
}

static bool judge_needs(const struct route *r, const struct query *q, struct fit *fit)
{
	const enum fact *f;

	for (f = r->needs; f && *f != FACT_NONE; f++)
		if (!caps_has(q->caps, *f))
			return route_refuse(fit, "needs %s: %s", caps_name(*f),
					    caps_why(q->caps, *f));
	return true;
}

static bool judge_wishes(const struct route *r, const struct query *q, struct fit *fit)
{
	bool file = q->from->kind == DECANT_END_FILE || q->to->kind == DECANT_END_FILE;

	if (q->checksum != DECANT_CHECKSUM_NONE && !r->user_space)
		return route_refuse(fit, "a checksum was asked for, and here the bytes never come "
				    "where we could see them");
	if ((q->flags & DECANT_DIRECT) && file && !r->past_cache)
		return route_refuse(fit, "direct was asked for, and this route goes through the "
				    "page cache");
	return true;
}

/* A LIVE route where STABLE was asked for, and fits() knew no reason to raise it. */
static bool judge_refuse_live(const struct query *q, struct fit *fit)
{
	if (q->from->kind == DECANT_END_FILE)
		return route_refuse(fit, "not stable: the kernel hands out the file's own pages, "
				    "never tells when they were last read, and the file may "
				    "change");
	if (q->from->kind == DECANT_END_MEMORY)
		return route_refuse(fit, "not stable: the kernel hands out the memory's own pages "
				    "and never tells when they were last read");
	if (q->from->kind == DECANT_END_PIPE)
		return route_refuse(fit, "not stable: what is in the pipe may be pages that its "
				    "writer can still change, and the kernel does not tell");
	return route_refuse(fit, "not stable: the kernel does not tell when the source is no "
			    "longer needed");
}

enum judge_verdict judge_route(const struct route *r, unsigned index, const struct query *q,
			       struct fit *fit)
{
	fit->guarantee = r->guarantee;
	fit->copies = r->copies;
	fit->atomic = false;
	fit->why_not[0] = '\0';
	fit->note[0] = '\0';
	if (!judge_ends(r, q, fit))
		return JUDGE_OTHER_ENDS;
	if (q->exclude & (1ull << index)) {
		(void)route_refuse(fit, "was tried on these ends, and the kernel refused");
		return JUDGE_REFUSED;
	}
	if (!judge_needs(r, q, fit) || !judge_wishes(r, q, fit))
		return JUDGE_REFUSED;
	if (r->fits && !r->fits(q, fit))
		return JUDGE_REFUSED;
	if (q->guarantee == DECANT_STABLE && fit->guarantee != DECANT_STABLE) {
		(void)judge_refuse_live(q, fit);
		return JUDGE_REFUSED;
	}
	return JUDGE_FITS;
}
