/* SPDX-License-Identifier: MIT */
#include "heat_place.h"

#include <errno.h>
#include <stdlib.h>

/* In pixels. */
#define PLACE_LANE_GAP 6.0
#define PLACE_LANE_MIN 16.0
#define PLACE_LANE_MAX 96.0
#define PLACE_LANES_HEIGHT 620.0 /* of all, if that is possible */
#define PLACE_ROW_MIN 4.0
#define PLACE_LANES_MAX 20       /* shown one by one */

static int place_by_pages(const void *a, const void *b)
{
	const struct heat_place *x = a, *y = b;

	return x->lane->pages > y->lane->pages ? -1 : x->lane->pages < y->lane->pages;
}

static int place_by_address(const void *a, const void *b)
{
	const struct heat_place *x = a, *y = b;

	return x->lane->start < y->lane->start ? -1 : x->lane->start > y->lane->start;
}

static int place_choose(const struct heat *h, struct heat_places *s)
{
	s->lanes = calloc(h->lanes_n + 1, sizeof(*s->lanes));
	if (!s->lanes)
		return -ENOMEM;
	for (size_t i = 0; i < h->lanes_n; i++)
		if (h->lanes[i].pages)
			s->lanes[s->n++] = (struct heat_place){ .lane = &h->lanes[i],
								.index = i };
	if (!s->n)
		return 0;
	qsort(s->lanes, s->n, sizeof(*s->lanes), place_by_pages);
	if (s->n > PLACE_LANES_MAX) {
		for (size_t i = PLACE_LANES_MAX - 1; i < s->n; i++) {
			s->rest.pages += s->lanes[i].lane->pages;
			s->rest_bytes += s->lanes[i].lane->end - s->lanes[i].lane->start;
			s->rest_n++;
		}
		s->n = PLACE_LANES_MAX - 1;
	}
	qsort(s->lanes, s->n, sizeof(*s->lanes), place_by_address);
	if (s->rest_n)
		s->lanes[s->n++] = (struct heat_place){ .lane = &s->rest,
							.index = HEAT_PLACE_REST };
	return 0;
}

/* Twice the size is so many pixels more. */
static double place_height(const struct heat_place *l)
{
	double size = 1 + (double)(l->lane->end - l->lane->start) / 16384, height = 14;

	for (; size >= 2; size /= 2)
		height += 5;
	height += 5 * (size - 1);
	if (height < PLACE_LANE_MIN)
		return PLACE_LANE_MIN;
	return height > PLACE_LANE_MAX ? PLACE_LANE_MAX : height;
}

static void place_all(struct heat_places *s)
{
	double all = 0, scale, top = HEAT_PLACE_TOP;

	for (size_t i = 0; i < s->n; i++)
		all += place_height(&s->lanes[i]);
	scale = all > PLACE_LANES_HEIGHT ? PLACE_LANES_HEIGHT / all : 1;
	for (size_t i = 0; i < s->n; i++) {
		struct heat_place *l = &s->lanes[i];

		l->top = top;
		l->height = place_height(l) * scale;
		if (l->height < PLACE_LANE_MIN)
			l->height = PLACE_LANE_MIN;
		top += l->height + PLACE_LANE_GAP;
		l->shift = l->lane->shift;
		l->rows = 1;
		if (l->index == HEAT_PLACE_REST)
			continue;
		while ((double)(((l->lane->end - 1) >> l->shift) - (l->lane->start >> l->shift)) +
			       1 > l->height / PLACE_ROW_MIN)
			l->shift++;
		l->first = l->lane->start >> l->shift;
		l->rows = (unsigned)(((l->lane->end - 1) >> l->shift) - l->first + 1);
	}
	s->bottom = top - (s->n ? PLACE_LANE_GAP : 0);
}

int heat_places(const struct heat *h, struct heat_places *ret)
{
	int r = place_choose(h, ret);

	if (r == 0)
		place_all(ret);
	return r;
}

void heat_places_free(struct heat_places *p)
{
	free(p->lanes);
}
