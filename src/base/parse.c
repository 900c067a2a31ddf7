/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

#include "base/checked.h"
#include "base/parse.h"

/* How much of a wrong string goes into the sentence. */
#define PARSE_SHOW 40

struct parse_unit {
	const char *name;
	uint64_t factor;
};

/* strtoull() would take blanks, signs and 0x. */
static int parse_digits(const char **s, uint64_t *ret)
{
	const char *p = *s;
	bool fits = true;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		fits = fits && checked_mul(v, 10, &v) && checked_add(v, (uint64_t)(*p - '0'), &v);
	*s = p;
	*ret = v;
	return fits ? 0 : -ERANGE;
}

static int parse_empty(const char *s, const char *what, struct err *reterr)
{
	if (s && *s)
		return 0;
	return err_set(reterr, -EINVAL, "%s: is empty", what);
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret, struct err *reterr)
{
	const char *p = s;
	uint64_t v;
	int r;

	r = parse_empty(s, "number", reterr);
	if (r < 0)
		return r;
	r = parse_digits(&p, &v);
	if (r == -EINVAL || *p)
		return err_set(reterr, -EINVAL, "\"%.*s\": is not a whole number", PARSE_SHOW, s);
	if (r < 0 || v < min || v > max)
		return err_set(reterr, -ERANGE,
			       "\"%.*s\": must be from %" PRIu64 " to %" PRIu64,
			       PARSE_SHOW, s, min, max);
	*ret = v;
	return 0;
}

/* ".25": a part of one in billionths, what is finer is dropped; else 0. */
static uint64_t parse_part(const char **s)
{
	uint64_t v = 0, worth = 100000000;
	const char *p = *s;

	if (*p != '.' || p[1] < '0' || p[1] > '9')
		return 0;
	for (p++; *p >= '0' && *p <= '9'; p++, worth /= 10)
		v += worth * (uint64_t)(*p - '0');
	*s = p;
	return v;
}

/* what: "size"; example: what a right one looks like; parts: "1.5" is one, too. */
static int parse_with_unit(const char *s, const struct parse_unit *units, const char *what,
			   const char *example, bool parts, uint64_t *ret, struct err *reterr)
{
	const struct parse_unit *u;
	uint64_t v, part = 0;
	const char *p = s;
	int r;

	r = parse_empty(s, what, reterr);
	if (r < 0)
		return r;
	if (*s == '-')
		return err_set(reterr, -EINVAL, "\"%.*s\": a %s cannot be negative", PARSE_SHOW, s,
			       what);
	r = parse_digits(&p, &v);
	if (r == -EINVAL)
		return err_set(reterr, -EINVAL, "\"%.*s\": is not a %s such as %s", PARSE_SHOW, s,
			       what, example);
	if (parts)
		part = parse_part(&p);
	for (u = units; u->name; u++)
		if (strcasecmp(p, u->name) == 0)
			break;
	if (!u->name)
		return err_set(reterr, -EINVAL, "\"%.*s\": \"%.*s\" is no unit of a %s such as %s",
			       PARSE_SHOW, s, PARSE_SHOW, p, what, example);
	/* At most 10^9 times 3.6 * 10^9: an hour's factor is the largest. */
	part = part * (u->factor / 1000) / 1000000;
	if (r < 0 || !checked_mul(v, u->factor, &v) || !checked_add(v, part, &v))
		return err_set(reterr, -ERANGE, "\"%.*s\": the %s is too large", PARSE_SHOW, s,
			       what);
	*ret = v;
	return 0;
}

#define KI(n) ((uint64_t)1 << (10 * (n)))

int parse_size(const char *s, uint64_t *ret, struct err *reterr)
{
	static const struct parse_unit units[] = {
		{ "",   1     }, { "B",   1     },
		{ "K",  KI(1) }, { "KiB", KI(1) }, { "KB", 1000ull },
		{ "M",  KI(2) }, { "MiB", KI(2) }, { "MB", 1000000ull },
		{ "G",  KI(3) }, { "GiB", KI(3) }, { "GB", 1000000000ull },
		{ "T",  KI(4) }, { "TiB", KI(4) }, { "TB", 1000000000000ull },
		{ "P",  KI(5) }, { "PiB", KI(5) }, { "PB", 1000000000000000ull },
		{ "E",  KI(6) }, { "EiB", KI(6) }, { "EB", 1000000000000000000ull },
		{ NULL, 0     },
	};

	return parse_with_unit(s, units, "size", "64K or 10MB", false, ret, reterr);
}

int parse_duration(const char *s, uint64_t *ret_ns, struct err *reterr)
{
	static const struct parse_unit units[] = {
		{ "",   1000000000ull    },
		{ "ns", 1                },
		{ "us", 1000ull          },
		{ "ms", 1000000ull       },
		{ "s",  1000000000ull    },
		{ "m",  60000000000ull   },
		{ "h",  3600000000000ull },
		{ NULL, 0                },
	};

	return parse_with_unit(s, units, "duration", "500ms or 2s", true, ret_ns,
			       reterr);
}
