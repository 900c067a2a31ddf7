/* SPDX-License-Identifier: MIT */
#include "serve/encoding.h"

const char *const encoding_names[ENCODINGS_N] = { NULL, "gzip", "zstd" };
const char *const encoding_suffixes[ENCODINGS_N] = { "", ".gz", ".zst" };

/* Thousandths; -1: not said. */
struct encoding_wish {
	int of[ENCODINGS_N];
	int rest;            /* "*" */
};

/* ";q=0.5" and other parameters; 1000 where there is none, 0 where it is odd. */
static int encoding_weight(struct span params)
{
	struct span one;

	while (span_next(&params, ';', &one)) {
		int v = 0, digit = 1000;

		one = span_trim(one);
		if (one.len < 2 || (one.s[0] | 32) != 'q' || one.s[1] != '=')
			continue;
		for (size_t i = 2; i < one.len && i < 7; i++) {
			if (i == 3 && one.s[i] == '.')
				continue;
			if (one.s[i] < '0' || one.s[i] > '9')
				return 0;
			v += (one.s[i] - '0') * digit;
			digit /= 10;
		}
		return v > 1000 ? 1000 : v;
	}
	return 1000;
}

static void encoding_read(struct span field, struct encoding_wish *ret)
{
	struct span one, name;

	while (span_next(&field, ',', &one)) {
		struct span rest = span_trim(one);
		int q;

		if (!span_next(&rest, ';', &name))
			continue;
		name = span_trim(name);
		q = encoding_weight(rest);
		if (span_is_word(name, "gzip") || span_is_word(name, "x-gzip"))
			ret->of[ENCODING_GZIP] = q;
		else if (span_is_word(name, "zstd"))
			ret->of[ENCODING_ZSTD] = q;
		else if (span_is_word(name, "identity"))
			ret->of[ENCODING_NONE] = q;
		else if (span_is(name, "*"))
			ret->rest = q;
	}
}

unsigned encoding_wanted(struct span field, uint8_t ret[ENCODINGS_N])
{
	struct encoding_wish w = { { -1, -1, -1 }, 0 };
	unsigned n = 0;

	if (!field.s)
		return 0;
	encoding_read(field, &w);
	for (unsigned e = ENCODING_GZIP; e < ENCODINGS_N; e++) {
		int q = w.of[e] < 0 ? w.rest : w.of[e];

		if (q <= 0 || q < w.of[ENCODING_NONE])
			continue;
		w.of[e] = q;
		ret[n++] = (uint8_t)e;
	}
	/* zstd where they are wished alike: it is smaller. */
	if (n == 2 && w.of[ret[1]] >= w.of[ret[0]]) {
		uint8_t first = ret[0];

		ret[0] = ret[1];
		ret[1] = first;
	}
	return n;
}
