/* SPDX-License-Identifier: MIT */
#include "heat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAT_PAGE_SHIFT 12u

void heat_free(struct heat *h)
{
	for (size_t i = 0; i < h->lanes_n; i++)
		free(h->lanes[i].name);
	for (size_t i = 0; i < h->columns_n; i++)
		free(h->columns[i].cells);
	free(h->lanes);
	*h = (struct heat)HEAT_INIT;
}

/* ------------------------------------------------------------------- cells */

static int heat_order(const void *a, const void *b)
{
	const struct heat_cell *x = a, *y = b;

	if (x->lane != y->lane)
		return x->lane < y->lane ? -1 : 1;
	return x->bin < y->bin ? -1 : x->bin > y->bin;
}

/* Cells of one place are one. */
static void heat_tidy(struct heat_column *c)
{
	size_t n = 0;

	if (c->n)
		qsort(c->cells, c->n, sizeof(*c->cells), heat_order);
	for (size_t i = 0; i < c->n; i++) {
		if (n && heat_order(&c->cells[n - 1], &c->cells[i]) == 0)
			c->cells[n - 1].pages += c->cells[i].pages;
		else
			c->cells[n++] = c->cells[i];
	}
	c->n = n;
}

static void heat_put(struct heat *h, struct heat_column *c, struct heat_cell cell)
{
	struct heat_cell *last = c->n ? &c->cells[c->n - 1] : NULL;
	size_t size = c->size ? 2 * c->size : 64;
	void *v;

	/* Ranges ascend, so most fall where the last one did. */
	if (last && heat_order(last, &cell) == 0) {
		last->pages += cell.pages;
		return;
	}
	if (c->n == c->size) {
		v = realloc(c->cells, size * sizeof(*c->cells));
		if (!v) {
			h->error = -ENOMEM;
			return;
		}
		c->cells = v;
		c->size = size;
	}
	c->cells[c->n++] = cell;
}

/* ------------------------------------------------------------------- lanes */

static bool heat_fits(const struct heat_lane *l)
{
	return ((l->end - 1) >> l->shift) - (l->start >> l->shift) < HEAT_BINS_MAX;
}

/* It has grown: bins of twice the size, until they are few enough. */
static void heat_coarsen(struct heat *h, size_t lane)
{
	struct heat_lane *l = &h->lanes[lane];
	unsigned before = l->shift;

	while (!heat_fits(l))
		l->shift++;
	if (l->shift == before)
		return;
	for (size_t i = 0; i < h->columns_n; i++) {
		for (size_t k = 0; k < h->columns[i].n; k++)
			if (h->columns[i].cells[k].lane == lane)
				h->columns[i].cells[k].bin >>= l->shift - before;
		heat_tidy(&h->columns[i]);
	}
}

static size_t heat_new_lane(struct heat *h, const struct decant_dirty_mapping *m)
{
	size_t size = h->lanes_size ? 2 * h->lanes_size : 32;
	struct heat_lane *l;
	void *v;

	if (h->lanes_n == h->lanes_size) {
		v = realloc(h->lanes, size * sizeof(*h->lanes));
		if (!v) {
			h->error = -ENOMEM;
			return 0;
		}
		h->lanes = v;
		h->lanes_size = size;
	}
	l = &h->lanes[h->lanes_n];
	*l = (struct heat_lane){
		.name = strdup(m->name), .start = m->start, .end = m->end,
		.shift = HEAT_PAGE_SHIFT, .rest = h->lanes_n == HEAT_LANES_MAX,
	};
	if (!l->name)
		h->error = -ENOMEM;
	return h->lanes_n++;
}

static size_t heat_lane(struct heat *h, const struct decant_dirty_mapping *m)
{
	size_t i;

	for (i = 0; i < h->lanes_n; i++) {
		const struct heat_lane *l = &h->lanes[i];

		if (l->rest || (l->start < m->end && m->start < l->end && l->name &&
				strcmp(l->name, m->name) == 0))
			break;
	}
	if (i == h->lanes_n)
		i = heat_new_lane(h, m);
	if (h->error)
		return i;
	if (m->start < h->lanes[i].start)
		h->lanes[i].start = m->start;
	if (m->end > h->lanes[i].end)
		h->lanes[i].end = m->end;
	heat_coarsen(h, i);
	return i;
}

/* ----------------------------------------------------------------- columns */

static void heat_fold(struct heat *h)
{
	size_t n = h->columns_n / 2;

	for (size_t i = 0; i < n; i++) {
		struct heat_column *a = &h->columns[2 * i], *b = &h->columns[2 * i + 1];

		for (size_t k = 0; k < b->n; k++)
			heat_put(h, a, b->cells[k]);
		heat_tidy(a);
		a->end_ns = b->end_ns;
		a->pages += b->pages;
		free(b->cells);
		h->columns[i] = *a;
	}
	h->columns_n = n;
	h->fold *= 2;
}

static struct heat_column *heat_column(struct heat *h, const struct decant_dirty_interval *i)
{
	struct heat_column *c;

	if (h->columns_n && h->filled < h->fold) {
		h->filled++;
		c = &h->columns[h->columns_n - 1];
		c->end_ns = i->end_ns;
		return c;
	}
	if (h->columns_n == 2 * HEAT_COLUMNS_MAX)
		heat_fold(h);
	h->filled = 1;
	c = &h->columns[h->columns_n++];
	*c = (struct heat_column){ .begin_ns = i->begin_ns, .end_ns = i->end_ns };
	return c;
}

/* The part of the ranges from *at on that lies in a mapping. */
static void heat_mapping(struct heat *h, struct heat_column *c,
			 const struct decant_dirty_interval *i,
			 const struct decant_dirty_mapping *m, size_t *at)
{
	size_t lane = heat_lane(h, m);

	while (*at < i->ranges_n && i->ranges[*at].end <= m->start)
		++*at;
	for (size_t k = *at; k < i->ranges_n && i->ranges[k].start < m->end && !h->error; k++) {
		uint64_t start = i->ranges[k].start, end = i->ranges[k].end;
		unsigned shift = h->lanes[lane].shift;

		start = start < m->start ? m->start : start;
		end = end > m->end ? m->end : end;
		while (start < end) {
			uint64_t bin = start >> shift, to = (bin + 1) << shift;
			uint64_t pages;

			to = to > end ? end : to;
			pages = (to - start) >> HEAT_PAGE_SHIFT;
			heat_put(h, c, (struct heat_cell){ (uint32_t)lane, bin, pages });
			h->lanes[lane].pages += pages;
			c->pages += pages;
			start = to;
		}
	}
}

void heat_add(struct heat *h, const struct decant_dirty_interval *i)
{
	struct heat_column *c = heat_column(h, i);
	size_t at = 0;

	for (size_t m = 0; m < i->mappings_n && !h->error; m++)
		if (i->mappings[m].pages)
			heat_mapping(h, c, i, &i->mappings[m], &at);
	heat_tidy(c);
}
