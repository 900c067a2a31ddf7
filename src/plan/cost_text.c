/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "plan/cost.h"
#include "sys/sys.h"

#define COST_HEADER "decant-cost 1"
#define COST_NUMBERS (2 * COST_SIZES + 2)
#define COST_WORDS (3 + COST_NUMBERS)

/* One line: a row of the table. */
struct cost_line {
	char text[COST_LINE_MAX_BYTES];
	char *word[COST_WORDS];
	unsigned words;
	unsigned long number;
};

/* Cut into words at blanks; -1: too many. */
static int cost_split(struct cost_line *l)
{
	char *save = NULL, *word;

	l->words = 0;
	for (word = strtok_r(l->text, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
		if (l->words == COST_WORDS)
			return -1;
		l->word[l->words++] = word;
	}
	return 0;
}

static int cost_find(const char *word, const char *(*name)(unsigned), unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (strcmp(word, name(i)) == 0)
			return (int)i;
	return -1;
}

static const char *cost_from_word(unsigned i)
{
	return cost_from_name((enum cost_from)i);
}

static const char *cost_to_word(unsigned i)
{
	return cost_to_name((enum cost_to)i);
}

static int cost_parse_numbers(const struct cost_line *l, struct cost *ret, struct err *reterr)
{
	uint64_t v[COST_NUMBERS];
	struct err e;
	unsigned i;
	int r;

	for (i = 0; i < COST_NUMBERS; i++) {
		/* A transfer takes time; cold bytes may be none, and its CPU time too. */
		r = parse_u64(l->word[3 + i], i < COST_SIZES, COST_NS_MAX, &v[i], &e);
		if (r < 0)
			return err_set(reterr, -EINVAL, "line %lu, number %u: %s", l->number, i + 1,
				       e.text);
	}
	for (i = 0; i < COST_SIZES; i++) {
		ret->ns[i] = (uint32_t)v[i];
		ret->cpu_ns[i] = (uint32_t)v[COST_SIZES + i];
	}
	ret->cold_ns = (uint32_t)v[2 * COST_SIZES];
	ret->cold_cpu_ns = (uint32_t)v[2 * COST_SIZES + 1];
	return 0;
}

/* 0; 1: a route that we do not have. */
static int cost_parse_row(struct cost_table *t, struct cost_line *l, struct err *reterr)
{
	struct cost cost;
	int from, to, r;

	if (cost_split(l) < 0 || l->words != COST_WORDS)
		return err_set(reterr, -EINVAL, "line %lu: not \"route from to\" and %d numbers",
			       l->number, COST_NUMBERS);
	from = cost_find(l->word[1], cost_from_word, COST_FROM_MAX);
	to = cost_find(l->word[2], cost_to_word, COST_TO_MAX);
	if (from < 0 || to < 0)
		return err_set(reterr, -EINVAL, "line %lu: \"%.32s\" is no kind of %s", l->number,
			       l->word[from < 0 ? 1 : 2], from < 0 ? "source" : "sink");
	r = cost_parse_numbers(l, &cost, reterr);
	if (r < 0)
		return r;
	return !cost_set(t, l->word[0], (enum cost_from)from, (enum cost_to)to, &cost);
}

/* The line at text, without its end; its length with it.  -1: too long. */
static int cost_take_line(struct cost_line *l, const char *text, size_t len)
{
	const char *end = memchr(text, '\n', len);
	size_t n = end ? (size_t)(end - text) : len;

	l->number++;
	if (n >= sizeof(l->text))
		return -1;
	memcpy(l->text, text, n);
	l->text[n] = '\0';
	return (int)(n + (end ? 1 : 0));
}

static int cost_parse_lines(struct cost_table *t, const char *text, size_t len, unsigned *ret_left,
			    struct err *reterr)
{
	struct cost_line l = { .number = 0 };
	size_t at;
	int n, r;

	for (at = 0; at < len; at += (size_t)n) {
		n = cost_take_line(&l, text + at, len - at);
		if (n < 0)
			return err_set(reterr, -EINVAL, "line %lu: longer than %d bytes", l.number,
				       COST_LINE_MAX_BYTES - 1);
		if (l.number == 1) {
			if (strcmp(l.text, COST_HEADER) != 0)
				return err_set(reterr, -EINVAL, "line 1: not \"%s\"", COST_HEADER);
			continue;
		}
		if (l.text[0] == '#' || l.text[0] == '\0')
			continue;
		r = cost_parse_row(t, &l, reterr);
		if (r < 0)
			return r;
		*ret_left += (unsigned)r;
	}
	if (l.number == 0)
		return err_set(reterr, -EINVAL, "line 1: not \"%s\"", COST_HEADER);
	return 0;
}

int cost_parse(struct cost_table *t, const char *text, size_t len, struct err *ret_note,
	       struct err *reterr)
{
	_cleanup_free_ struct cost_table *fresh = NULL;
	unsigned left = 0;
	int r;

	if (len > COST_FILE_MAX_BYTES)
		return err_set(reterr, -EINVAL, "cost file: longer than %u KiB",
			       COST_FILE_MAX_BYTES >> 10);
	if (memchr(text, '\0', len))
		return err_set(reterr, -EINVAL, "cost file: a 0 byte is no text");
	fresh = sys_malloc(sizeof(*fresh));
	if (!fresh)
		return err_set(reterr, -ENOMEM, "cost file: no memory");
	*fresh = *t;
	r = cost_parse_lines(fresh, text, len, &left, reterr);
	if (r < 0)
		return err_wrap(reterr, r, "cost file");
	*t = *fresh;
	if (ret_note)
		ret_note->text[0] = '\0';
	if (left)
		(void)err_set(ret_note, 0, "cost file: %u lines are of routes that are not here",
			      left);
	return 0;
}

static void cost_format_row(struct buf *ret, const char *route, enum cost_from from,
			    enum cost_to to, const struct cost *c)
{
	unsigned i;

	buf_printf(ret, "%-14s %-8s %-10s", route, cost_from_name(from), cost_to_name(to));
	for (i = 0; i < COST_SIZES; i++)
		buf_printf(ret, " %u", c->ns[i]);
	for (i = 0; i < COST_SIZES; i++)
		buf_printf(ret, " %u", c->cpu_ns[i]);
	buf_printf(ret, " %u %u\n", c->cold_ns, c->cold_cpu_ns);
}

/* The entry that speaks for a pair: entries of one name have disjoint pairs. */
static bool cost_row_used(const struct route *r, enum cost_from from, enum cost_to to)
{
	static const uint32_t from_kinds[COST_FROM_MAX] = {
		[COST_FROM_FILE] = ROUTE_KIND(DECANT_END_FILE),
		[COST_FROM_PIPE] = ROUTE_KIND(DECANT_END_PIPE),
		[COST_FROM_SOCKET] = ROUTE_KIND(DECANT_END_SOCKET),
		[COST_FROM_MEMORY] = ROUTE_KIND(DECANT_END_MEMORY),
		[COST_FROM_PROCESS] = ROUTE_KIND(DECANT_END_PROCESS),
		[COST_FROM_OTHER] = ROUTE_KIND(DECANT_END_FD) | ROUTE_KIND(DECANT_END_ZERO),
	};
	static const uint32_t to_kinds[COST_TO_MAX] = {
		[COST_TO_TCP] = ROUTE_KIND(DECANT_END_SOCKET),
		[COST_TO_TCP_LOCAL] = ROUTE_KIND(DECANT_END_SOCKET),
		[COST_TO_UNIX] = ROUTE_KIND(DECANT_END_SOCKET),
		[COST_TO_PIPE] = ROUTE_KIND(DECANT_END_PIPE),
		[COST_TO_FILE] = ROUTE_KIND(DECANT_END_FILE),
		[COST_TO_MEMORY] = ROUTE_KIND(DECANT_END_MEMORY),
		[COST_TO_NULL] = ROUTE_KIND(DECANT_END_NULL),
		[COST_TO_OTHER] = ROUTE_KIND(DECANT_END_FD),
	};

	return (r->from_kinds & from_kinds[from]) && (r->to_kinds & to_kinds[to]);
}

void cost_format(const struct cost_table *t, struct buf *ret)
{
	unsigned i, from, to;

	buf_puts(ret, COST_HEADER "\n"
		 "# route, from, to; ns for 4 KiB, 64 KiB, 1 MiB, 16 MiB; CPU ns for these;\n"
		 "# ns and CPU ns per MiB that comes from the disk\n");
	for (i = 0; i < t->routes_n; i++)
		for (from = 0; from < COST_FROM_MAX; from++)
			for (to = 0; to < COST_TO_MAX; to++)
				if (cost_row_used(t->routes[i], from, to))
					cost_format_row(ret, t->routes[i]->ops.name, from, to,
							&t->row[i][from][to]);
}
