/* SPDX-License-Identifier: MIT */
/* From what the caller said to a route: checks, ends, length, plan. */
#include <errno.h>
#include <string.h>

#include "api/api.h"
#include "plan/judge.h"
#include "plan/residency.h"
#include "route/routes.h"

#define API_FLAGS_KNOWN (DECANT_DIRECT | DECANT_SYNC | DECANT_PROGRESS_EVENTS | DECANT_MORE)
/* Below this, asking what the ends are would cost more than any route saves. */
#define API_SMALL_MAX_BYTES (64u << 10)
/* From here on it pays to ask how much of the source is in the page cache. */
#define API_RESIDENCY_MIN_BYTES (1u << 20)

/*
 * What is larger comes out of memory, not out of a cache, and there a kept
 * mapping gains nothing on this host: the second copy is hidden by the first.
 * But for tmpfs, whose reads are slow: one page after the other.
 */
#define API_MAP_WARM_MAX_BYTES (16u << 20)

static int api_check(const struct decant_transfer *t, struct err *reterr)
{
	if (!t || t->size < sizeof(*t))
		return err_set(reterr, -EINVAL,
			       "transfer: size is not set (use DECANT_TRANSFER_INIT)");
	if (t->flags & ~(uint32_t)API_FLAGS_KNOWN)
		return err_set(reterr, -EINVAL, "transfer: unknown flags 0x%x",
			       t->flags & ~(uint32_t)API_FLAGS_KNOWN);
	if (t->guarantee > DECANT_LIVE)
		return err_set(reterr, -EINVAL, "transfer: unknown guarantee %u", t->guarantee);
	if (t->until > DECANT_UNTIL_SENT)
		return err_set(reterr, -EINVAL, "transfer: unknown until %u", t->until);
	if (t->checksum > DECANT_CHECKSUM_SHA256)
		return err_set(reterr, -EINVAL, "transfer: unknown checksum %u", t->checksum);
	if (t->route && !route_by_name(t->route))
		return err_set(reterr, -EINVAL, "route %s: there is no such route", t->route);
	return 0;
}

/* What is promised: said, or what the source has now. */
static int api_length(const struct decant_transfer *t, struct api_request *r, struct err *reterr)
{
	uint64_t size, limit = DECANT_TO_END;

	r->len = t->len;
	r->len_exact = t->len != DECANT_TO_END;
	if (r->from.kind == DECANT_END_MEMORY)
		limit = r->from.size;
	if (r->from.kind == DECANT_END_PROCESS && !r->len_exact)
		return err_set(reterr, -EINVAL,
			       "length: memory of a process has no end; say how much");
	if (r->len_exact && limit != DECANT_TO_END && r->len > limit)
		return err_set(reterr, -EINVAL, "length: %llu bytes of %llu in memory",
			       (unsigned long long)r->len, (unsigned long long)limit);
	if (r->len_exact && r->to.kind == DECANT_END_MEMORY && r->len > r->to.size)
		return err_set(reterr, -EINVAL, "length: %llu bytes into %llu of memory",
			       (unsigned long long)r->len, (unsigned long long)r->to.size);
	if (r->len_exact)
		return 0;
	if (limit != DECANT_TO_END) {
		r->len = limit;
		r->len_exact = true;
	} else if (r->from.kind == DECANT_END_FILE) {
		size = end_size(&r->from);
		if (size == END_SIZE_UNKNOWN)
			return 0;
		r->len = size > r->from.offset ? size - r->from.offset : 0;
		r->len_exact = true;
	}
	return 0;
}

/*
 * The route of a few pages, where the descriptors' kinds were said: the plain
 * one, without a question to the kernel.  It is what the costs would choose.
 */
static const struct route *api_small(const struct decant_transfer *t, const struct api_request *r)
{
	const struct route *route = NULL;

	if (t->route || r->len > API_SMALL_MAX_BYTES || (t->flags & DECANT_DIRECT))
		return NULL;
	if (t->from.kind == DECANT_END_FILE && t->to.kind == DECANT_END_SOCKET)
		route = &route_read_send;
	else if (t->from.kind == DECANT_END_MEMORY && t->to.kind == DECANT_END_SOCKET)
		route = &route_send;
	else if (t->from.kind == DECANT_END_MEMORY && t->to.kind == DECANT_END_PIPE)
		route = &route_write;
	else if (t->from.kind == DECANT_END_FILE && t->to.kind == DECANT_END_PIPE)
		route = &route_read_write;
	return t->checksum && route && !route->user_space ? NULL : route;
}

/* What was sent lately mostly still is there: then its last page tells enough. */
static uint32_t api_cold_permille(const struct api_request *r)
{
	uint64_t last = r->from.offset + r->len - 1;

	if (r->query.map_warm && residency_cold_permille(r->from.fd, last, 1) == 0)
		return 0;
	return residency_cold_permille(r->from.fd, r->from.offset, r->len);
}

/* moves: the transfer will be made, and the file have been sent. */
static void api_query(struct decant *d, const struct decant_transfer *t, struct api_request *r,
		      bool moves)
{
	end_learn(&r->from, d->caps);
	end_learn(&r->to, d->caps);
	r->query = (struct query){
		.from = &r->from,
		.to = &r->to,
		.len = r->len,
		.expect = r->len,
		.flags = t->flags,
		.guarantee = t->guarantee,
		.checksum = t->checksum,
		.until = t->until,
		.caps = d->caps,
		.uring = engine_has_uring(d->engine),
	};
	if (r->from.kind == DECANT_END_FILE && r->from.dev)
		r->query.map_warm = maps_seen(d->engine->maps, r->from.dev, r->from.ino, moves) &&
				    (r->len <= API_MAP_WARM_MAX_BYTES || !r->from.cached_fs);
	if (r->from.kind == DECANT_END_FILE && r->len != DECANT_TO_END &&
	    r->len >= API_RESIDENCY_MIN_BYTES && r->from.cached_fs)
		r->query.cold_permille = api_cold_permille(r);
}

static unsigned api_route_index(const struct job_ops *ops)
{
	unsigned i = 0;

	while (i + 1 < route_table_n && &route_table[i]->ops != ops)
		i++;
	return i;
}

/* What the chosen route gives here; it fits, so that is all there is to ask. */
static void api_fit(const struct query *q, const struct route *route, uint32_t *ret_guarantee,
		    uint32_t *ret_copies)
{
	struct fit fit = { .quiet = true };

	(void)judge_route(route, api_route_index(&route->ops), q, &fit);
	*ret_guarantee = fit.guarantee;
	*ret_copies = fit.copies;
}

int api_prepare(struct decant *d, const struct decant_transfer *t, struct api_request *r,
		struct decant_plan *ret_plan, struct err *reterr)
{
	int ret = api_check(t, reterr);

	if (ret == 0)
		ret = end_init(&r->from, &t->from, END_SOURCE, reterr);
	/* Until it was DELIVERED means more than the number's word for it. */
	if (ret == 0)
		ret = end_init_recent(&r->to, &t->to, END_SINK,
				      t->until == DECANT_UNTIL_SENT ? &d->engine->recent : NULL,
				      reterr);
	if (ret == 0)
		ret = api_length(t, r, reterr);
	if (ret < 0)
		return ret;
	r->route = ret_plan ? NULL : api_small(t, r);
	if (r->route) {
		r->guarantee = r->route->guarantee;
		r->copies = r->route->copies;
		return 0;
	}
	api_query(d, t, r, !ret_plan);
	ret = plan_choose(&r->query, t->route, &d->costs, ret_plan, &r->route, reterr);
	if (ret == 0)
		api_fit(&r->query, r->route, &r->guarantee, &r->copies);
	return ret;
}

int api_replan(void *arg, struct job *j)
{
	struct decant *d = arg;
	const struct route *route;
	struct query q;
	int r;

	j->q->tried |= 1ull << api_route_index(j->ops);
	q = (struct query){
		.from = &j->from,
		.to = &j->to,
		.len = j->len,
		.expect = j->len,
		.flags = j->flags,
		.guarantee = j->asked,
		.checksum = j->checksum,
		.until = j->until,
		.exclude = j->q->tried,
		.caps = d->caps,
		.uring = engine_has_uring(d->engine),
	};
	r = plan_choose(&q, NULL, &d->costs, NULL, &route, &j->err);
	if (r < 0)
		return r;
	j->ops = &route->ops;
	api_fit(&q, route, &j->guarantee, &j->copies);
	return 0;
}
