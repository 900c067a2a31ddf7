/* SPDX-License-Identifier: MIT */
#include "capture/sample.h"

#include <stdlib.h>
#include <xxhash.h>

#include "process/pages.h"
#include "sys/sys.h"

#define SAMPLE_PAGES 1024u
#define SAMPLE_PAGE 4096u

struct sample {
	struct range pages[SAMPLE_PAGES];
	uint64_t before[SAMPLE_PAGES], after[SAMPLE_PAGES];
	unsigned char data[SAMPLE_PAGES * SAMPLE_PAGE];
	unsigned n;
};

/* Spread evenly over what is there, so that each page stands for as many. */
static void sample_pick(struct sample *s, const struct ranges *there)
{
	uint64_t total = ranges_bytes(there) / SAMPLE_PAGE, step, next, seen = 0;
	/* A step that is no power of two does not meet the same page of each structure. */
	uint64_t salt = sys_clock_ns() | 1;

	step = total / SAMPLE_PAGES ? total / SAMPLE_PAGES : 1;
	next = salt % step;
	s->n = 0;
	for (size_t i = 0; i < there->n && s->n < SAMPLE_PAGES; i++) {
		uint64_t pages = (there->v[i].end - there->v[i].start) / SAMPLE_PAGE;

		while (next < seen + pages && s->n < SAMPLE_PAGES) {
			uint64_t addr = there->v[i].start + (next - seen) * SAMPLE_PAGE;

			s->pages[s->n++] = (struct range){ addr, addr + SAMPLE_PAGE };
			next += step;
		}
		seen += pages;
	}
}

static int sample_look(struct sample *s, const struct target *t, uint64_t *hashes)
{
	struct ranges bad = RANGES_INIT;
	int r = pages_gather(t, PAGES_LIVE, s->pages, s->n, s->data, &bad);

	ranges_free(&bad);
	for (unsigned i = 0; i < s->n; i++)
		hashes[i] = XXH3_64bits(s->data + (size_t)i * SAMPLE_PAGE, SAMPLE_PAGE);
	return r;
}

uint64_t sample_dirty(const struct target *t, const struct ranges *there, uint64_t time_ns)
{
	struct sample *s = sys_malloc(sizeof(*s));
	uint64_t begin, took, changed = 0, rate = UINT64_MAX;

	if (!s)
		return UINT64_MAX;
	sample_pick(s, there);
	begin = sys_clock_ns();
	if (s->n && sample_look(s, t, s->before) >= 0) {
		(void)sys_sleep_ns(time_ns);
		took = sys_clock_ns() - begin;
		if (sample_look(s, t, s->after) >= 0) {
			for (unsigned i = 0; i < s->n; i++)
				changed += s->before[i] != s->after[i];
			rate = (uint64_t)((double)ranges_bytes(there) * (double)changed / s->n *
					  1e9 / (double)(took ? took : 1));
		}
	}
	free(s);
	return rate;
}
