/* SPDX-License-Identifier: MIT */
#include "serve/condition.h"

#include "serve/date.h"

#define CONDITION_FRESH_NS 2000000000ll

static uint64_t condition_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static size_t condition_hex(char *at, uint64_t v)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		*at++ = "0123456789abcdef"[v >> shift & 15];
	return 16;
}

void validator_of(const struct stat *st, int64_t now_ns, struct validator *ret)
{
	int64_t mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
	int64_t ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
	uint64_t h = condition_mix(st->st_dev, st->st_ino);
	char *at = ret->etag;

	h = condition_mix(h, (uint64_t)mtime_ns);
	h = condition_mix(h, (uint64_t)ctime_ns);
	h = condition_mix(h, (uint64_t)st->st_size);
	ret->newest_ns = mtime_ns > ctime_ns ? mtime_ns : ctime_ns;
	ret->weak = now_ns - ret->newest_ns < CONDITION_FRESH_NS;
	if (ret->weak) {
		*at++ = 'W';
		*at++ = '/';
	}
	*at++ = '"';
	at += condition_hex(at, h);
	*at++ = '"';
	*at = '\0';
	ret->etag_len = (uint8_t)(at - ret->etag);
	ret->mtime = st->st_mtim.tv_sec;
}

/* Without W/; *ret_weak: it was there. */
static struct span condition_opaque(struct span tag, bool *ret_weak)
{
	*ret_weak = tag.len >= 2 && tag.s[0] == 'W' && tag.s[1] == '/';
	if (*ret_weak) {
		tag.s += 2;
		tag.len -= 2;
	}
	return tag;
}

static bool condition_same(struct span tag, const struct validator *v, bool strong)
{
	struct span own = { v->etag, v->etag_len };
	bool weak_a, weak_b;

	tag = condition_opaque(span_trim(tag), &weak_a);
	own = condition_opaque(own, &weak_b);
	return tag.len == own.len && memcmp(tag.s, own.s, own.len) == 0 &&
	       !(strong && (weak_a || weak_b));
}

/* Our tags hold no comma, so that one within another's quotes does no harm. */
static bool condition_listed(struct span list, const struct validator *v, bool strong)
{
	struct span one;

	if (span_is(span_trim(list), "*"))
		return true;
	while (span_next(&list, ',', &one))
		if (condition_same(one, v, strong))
			return true;
	return false;
}

/* RFC 9110, 13.1.5: a strong tag, or the very date. */
static bool condition_range(struct span field, const struct validator *v)
{
	int64_t date;

	field = span_trim(field);
	if (field.len && (field.s[0] == '"' || field.s[0] == 'W'))
		return condition_same(field, v, true);
	return date_parse(field, &date) && date == v->mtime && !v->weak;
}

/* RFC 9110, 13.2.2, step by step. */
int condition_judge(const struct request *r, const struct validator *v, bool *ret_range)
{
	const struct span *part = r->part;
	int64_t date;

	*ret_range = false;
	if (part[PART_IF_MATCH].s) {
		if (!condition_listed(part[PART_IF_MATCH], v, true))
			return 412;
	} else if (date_parse(part[PART_IF_UNMODIFIED_SINCE], &date) && v->mtime > date) {
		return 412;
	}
	if (part[PART_IF_NONE_MATCH].s) {
		if (condition_listed(part[PART_IF_NONE_MATCH], v, false))
			return 304;
	} else if (date_parse(part[PART_IF_MODIFIED_SINCE], &date) && v->mtime <= date) {
		return 304;
	}
	*ret_range = r->method == METHOD_GET && part[PART_RANGE].s &&
		     (!part[PART_IF_RANGE].s || condition_range(part[PART_IF_RANGE], v));
	return 0;
}
