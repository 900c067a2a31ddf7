/* SPDX-License-Identifier: MIT */
#include "guess.h"

#include <string.h>

#include "base/checked.h"

#define GUESS_MAX 24

/* Damerau and Levenshtein's distance, where neighbours that were swapped count once. */
static size_t guess_distance(const char *a, size_t a_n, const char *b, size_t b_n)
{
	size_t d[GUESS_MAX + 1][GUESS_MAX + 1];

	for (size_t i = 0; i <= a_n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= b_n; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= a_n; i++) {
		for (size_t j = 1; j <= b_n; j++) {
			size_t v = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			v = min_u64(v, d[i - 1][j] + 1);
			v = min_u64(v, d[i][j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				v = min_u64(v, d[i - 2][j - 2] + 1);
			d[i][j] = v;
		}
	}
	return d[a_n][b_n];
}

void guess_try(struct guess *g, const char *candidate)
{
	size_t n = strlen(candidate), distance, near = g->len / 3;

	if (g->len == 0 || g->len > GUESS_MAX || n > GUESS_MAX)
		return;
	if (g->len >= 3 && n >= g->len && memcmp(candidate, g->word, g->len) == 0)
		distance = 1;
	else
		distance = guess_distance(g->word, g->len, candidate, n);
	if (distance > (near ? near : 1) || (g->best && distance >= g->distance))
		return;
	/* A letter for another is no guess. */
	if (distance >= g->len)
		return;
	g->best = candidate;
	g->distance = distance;
}
