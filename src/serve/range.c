/* SPDX-License-Identifier: MIT */
#include "serve/range.h"

#include <stdbool.h>

/* -1: not a number; a number that does not fit is the largest that does. */
static int range_number(struct span text, uint64_t *ret)
{
	uint64_t v = 0;

	if (text.len == 0)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned)(text.s[i] - '0');

		if (digit > 9)
			return -1;
		if (v > (UINT64_MAX - digit) / 10)
			v = UINT64_MAX;
		else
			v = v * 10 + digit;
	}
	*ret = v;
	return 0;
}

/* -1: no range; 0: of nothing; 1: *ret. */
static int range_one(struct span text, uint64_t size, struct range *ret)
{
	struct span first;
	uint64_t a, b;

	text = span_trim(text);
	if (!span_next(&text, '-', &first) || !text.s)
		return -1;
	first = span_trim(first);
	text = span_trim(text);
	if (first.len == 0) {
		if (range_number(text, &b) < 0)
			return -1;
		*ret = (struct range){ b < size ? size - b : 0, size };
		return b > 0 && size > 0;
	}
	if (range_number(first, &a) < 0)
		return -1;
	b = UINT64_MAX;
	if (text.len && range_number(text, &b) < 0)
		return -1;
	if (b < a)
		return -1;
	*ret = (struct range){ a, b < size ? b + 1 : size };
	return a < size;
}

/* One more, with all that it overlaps or touches. */
static void range_add(struct range *v, unsigned *n, struct range more)
{
	unsigned at = *n;

	for (unsigned i = 0; i < *n;) {
		if (more.start > v[i].end || v[i].start > more.end) {
			i++;
			continue;
		}
		if (v[i].start < more.start)
			more.start = v[i].start;
		if (v[i].end > more.end)
			more.end = v[i].end;
		if (at > i)
			at = i;
		memmove(&v[i], &v[i + 1], (*n - i - 1) * sizeof(*v));
		(*n)--;
		i = 0;
	}
	if (at > *n)
		at = *n;
	memmove(&v[at + 1], &v[at], (*n - at) * sizeof(*v));
	v[at] = more;
	(*n)++;
}

enum ranges ranges_parse(struct span field, uint64_t size, struct range ret[RANGES_MAX],
			 unsigned *ret_n)
{
	struct range v[RANGES_MAX + 1];
	struct span one;
	unsigned n = 0, seen = 0;

	if (!field.s)
		return RANGES_ALL;
	field = span_trim(field);
	if (field.len < 6 || strncasecmp(field.s, "bytes=", 6) != 0)
		return RANGES_ALL;
	field.s += 6;
	field.len -= 6;
	while (span_next(&field, ',', &one)) {
		struct range r;
		int good;

		if (span_trim(one).len == 0)
			continue;
		good = range_one(one, size, &r);
		if (good < 0 || ++seen > RANGES_MAX)
			return RANGES_ALL;
		if (good)
			range_add(v, &n, r);
	}
	if (seen == 0)
		return RANGES_ALL;
	if (n == 0)
		return RANGES_NOTHING;
	memcpy(ret, v, n * sizeof(*v));
	*ret_n = n;
	return RANGES_SOME;
}
