/* SPDX-License-Identifier: MIT */
/* The intervals of `dirty` for people: a line each, or a table drawn again and again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dirty_report.h"
#include "text.h"

#define DRAW_PAGE 4096u
#define DRAW_NAMED 3             /* mappings on a line */
#define DRAW_OTHER_LINES 4       /* head, heads, total, and one below that stays free */
#define DRAW_NAME_COLUMN 56

static const char *draw_name(const struct decant_dirty_mapping *m)
{
	return m->name[0] ? m->name : "anonymous";
}

static double draw_rate(const struct decant_dirty_interval *i, uint64_t pages)
{
	double seconds = (double)(i->end_ns - i->begin_ns) / 1e9;

	return seconds > 0 ? (double)pages / seconds : 0;
}

static int draw_by_pages(const void *a, const void *b)
{
	const struct decant_dirty_mapping *const *x = a, *const *y = b;

	if ((*x)->pages != (*y)->pages)
		return (*x)->pages > (*y)->pages ? -1 : 1;
	return (*x)->start < (*y)->start ? -1 : (*x)->start > (*y)->start;
}

/* Those with pages, most first; the caller's to free().  NULL: none, or no memory. */
static const struct decant_dirty_mapping **draw_sorted(const struct decant_dirty_interval *i,
						       size_t *ret_n)
{
	const struct decant_dirty_mapping **v = calloc(i->mappings_n + 1, sizeof(*v));

	*ret_n = 0;
	for (size_t k = 0; k < i->mappings_n && v; k++)
		if (i->mappings[k].pages)
			v[(*ret_n)++] = &i->mappings[k];
	if (v)
		qsort(v, *ret_n, sizeof(*v), draw_by_pages);
	return v;
}

static const char *draw_base(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash && slash[1] ? slash + 1 : name;
}

/* A name may hold anything: nothing of it may command the terminal. */
static void draw_put_name(struct buf *ret, const char *name, size_t len_max)
{
	size_t len = strlen(name);

	if (len > len_max) {
		buf_puts(ret, "...");
		name += len - (len_max > 3 ? len_max - 3 : 0);
	}
	for (; *name; name++)
		buf_putc(ret, (unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name);
}

void dirty_print_interval(struct buf *ret, const struct decant_dirty_interval *i)
{
	char bytes[TEXT_NUMBER_MAX];
	double rate = draw_rate(i, i->pages);
	const struct decant_dirty_mapping **v;
	size_t n;

	buf_printf(ret, "%9.1f s %9.0f pages/s %12s/s ", (double)i->end_ns / 1e9, rate,
		   text_bytes(bytes, (uint64_t)(rate * DRAW_PAGE)));
	v = draw_sorted(i, &n);
	for (size_t k = 0; k < n && k < DRAW_NAMED; k++) {
		buf_puts(ret, k ? ", " : " ");
		draw_put_name(ret, draw_base(draw_name(v[k])), 40);
		buf_printf(ret, " %.0f", draw_rate(i, v[k]->pages));
	}
	if (n > DRAW_NAMED)
		buf_printf(ret, ", %zu more", n - DRAW_NAMED);
	buf_putc(ret, '\n');
	free(v);
}

static void draw_row(struct buf *ret, double rate, uint64_t pages, const char *size)
{
	char bytes[TEXT_NUMBER_MAX];

	buf_printf(ret, "%10.0f %12s/s %9llu %10s  ", rate,
		   text_bytes(bytes, (uint64_t)(rate * DRAW_PAGE)), (unsigned long long)pages,
		   size);
}

static void draw_end(struct buf *ret, unsigned *lines)
{
	buf_puts(ret, "\033[K\n");
	++*lines;
}

static void draw_mapping(struct buf *ret, const struct decant_dirty_interval *i,
			 const struct decant_dirty_mapping *m, unsigned columns)
{
	char size[TEXT_NUMBER_MAX];
	unsigned room = columns > DRAW_NAME_COLUMN + 20 ? columns - DRAW_NAME_COLUMN - 6 : 14;

	draw_row(ret, draw_rate(i, m->pages), m->pages, text_bytes(size, m->end - m->start));
	buf_printf(ret, "%c%c%c%c  ", m->flags & DECANT_DIRTY_READ ? 'r' : '-',
		   m->flags & DECANT_DIRTY_WRITE ? 'w' : '-',
		   m->flags & DECANT_DIRTY_EXEC ? 'x' : '-',
		   m->flags & DECANT_DIRTY_SHARED ? 's' : 'p');
	draw_put_name(ret, draw_name(m), room);
}

void dirty_draw(struct buf *ret, struct dirty_result *r, const struct decant_dirty_interval *i,
		const struct dirty_options *o, unsigned rows, unsigned columns)
{
	bool colours = text_colours(stdout);
	const char *bold = colours ? "\033[1m" : "", *plain = colours ? "\033[0m" : "";
	char seen[TEXT_NUMBER_MAX] = "?";
	size_t n, shown = rows > DRAW_OTHER_LINES + 3 ? rows - DRAW_OTHER_LINES - 1 : 3;
	const struct decant_dirty_mapping **v = draw_sorted(i, &n);
	unsigned lines = 0;

	if (r->drawn)
		buf_printf(ret, "\033[%uA", r->drawn);
	if (i->seen_pages != UINT64_MAX)
		(void)text_bytes(seen, i->seen_pages * DRAW_PAGE);
	buf_printf(ret, "\r%s%d (%s)%s  %.1f s  %s written so far, each page once", bold,
		   (int)o->pid, r->name, plain, (double)i->end_ns / 1e9, seen);
	draw_end(ret, &lines);
	buf_printf(ret, "%s%10s %14s %9s %10s  %-4s  %s%s", bold, "PAGES/S", "BYTES/S", "PAGES",
		   "SIZE", "", "MAPPING", plain);
	draw_end(ret, &lines);
	for (size_t k = 0; k < n && k < shown; k++) {
		draw_mapping(ret, i, v[k], columns);
		draw_end(ret, &lines);
	}
	buf_puts(ret, bold);
	draw_row(ret, draw_rate(i, i->pages), i->pages, "");
	buf_printf(ret, "%s      total", plain);
	if (n > shown)
		buf_printf(ret, ", %zu mappings more", n - shown);
	draw_end(ret, &lines);
	/* What is left of a longer one. */
	buf_puts(ret, "\033[J");
	r->drawn = lines;
	free(v);
}
