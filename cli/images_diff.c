/* SPDX-License-Identifier: MIT */
/* Pages that differ, counted by mapping where a note file knows the mappings. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/json.h"
#include "images_report.h"

#define DIFF_PAGE 4096u
#define DIFF_KINDS 4

struct diff_row {
	uint64_t start, end;
	uint64_t pages[DIFF_KINDS]; /* by enum decant_images_what */
	char *name;
};

struct diff_out {
	const struct images_options *o;
	struct decant_images *a, *b;
	struct json json;
	bool begun;
	uint32_t kind;
	uint64_t id;
	struct diff_row *rows;
	size_t n, size, at;
	struct diff_row rest;    /* in no mapping that is known */
	uint64_t pages;          /* not the same */
	uint64_t same;           /* that people hear of, in all */
	int error;
};

static const char *const diff_words[DIFF_KINDS] = { "same", "differs", "only in the first",
						    "only in the second" };
static const char *const diff_keys[DIFF_KINDS] = { "same", "differs", "only_a", "only_b" };

/* ---------------------------------------------------------------- mappings */

static int diff_add(void *arg, const struct decant_images_mapping *m)
{
	struct diff_out *d = arg;
	struct diff_row *v;

	if (d->n == d->size) {
		d->size = d->size ? 2 * d->size : 64;
		v = realloc(d->rows, d->size * sizeof(*v));
		if (!v)
			return -ENOMEM;
		d->rows = v;
	}
	d->rows[d->n] = (struct diff_row){ .start = m->start, .end = m->end };
	d->rows[d->n].name = strdup(m->name);
	if (!d->rows[d->n].name)
		return -ENOMEM;
	d->n++;
	return 0;
}

static void diff_forget(struct diff_out *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->rows[i].name);
	d->n = d->at = 0;
	memset(&d->rest, 0, sizeof(d->rest));
}

/* Those of the second one, the later as a rule; of the first where it has none. */
static void diff_learn(struct diff_out *d)
{
	if (d->kind != DECANT_IMAGES_PROCESS ||
	    decant_images_mappings(d->b, d->id, diff_add, d) == 0)
		return;
	diff_forget(d);
	if (decant_images_mappings(d->a, d->id, diff_add, d) != 0)
		diff_forget(d);
}

/* ------------------------------------------------------------------ output */

static void diff_flush(struct diff_out *d)
{
	if (d->json.buf.len)
		(void)fwrite(d->json.buf.data, 1, d->json.buf.len, stdout);
	buf_clear(&d->json.buf);
}

static void diff_row(struct diff_out *d, const struct diff_row *r, const char *name)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < DIFF_KINDS; i++)
		sum += r->pages[i];
	if (!sum)
		return;
	if (d->o->json) {
		json_object(&d->json);
		json_member_u64(&d->json, "start", r->start);
		json_member_u64(&d->json, "end", r->end);
		json_member_string(&d->json, "name", name);
		for (size_t i = 0; i < DIFF_KINDS; i++)
			json_member_u64(&d->json, diff_keys[i], r->pages[i]);
		json_end(&d->json);
		diff_flush(d);
		return;
	}
	/* For people what is the same everywhere is one line at the end. */
	d->same += r->pages[DECANT_IMAGES_SAME];
	if (d->o->quiet || sum == r->pages[DECANT_IMAGES_SAME])
		return;
	(void)printf("  %12" PRIx64 "-%-12" PRIx64, r->start, r->end);
	for (size_t i = 0; i < DIFF_KINDS; i++)
		(void)printf(" %10" PRIu64, r->pages[i]);
	(void)printf("%s%s\n", name[0] ? "  " : "", name);
}

/* One pagemap is done. */
static void diff_end(struct diff_out *d)
{
	if (!d->begun)
		return;
	if (d->o->json && d->o->ranges)
		json_end(&d->json);
	if (d->o->json) {
		json_key(&d->json, "mappings");
		json_array(&d->json);
	}
	for (size_t i = 0; i < d->n; i++)
		diff_row(d, &d->rows[i], d->rows[i].name);
	diff_row(d, &d->rest, d->n ? "(in no mapping)" : "(all)");
	if (d->o->json) {
		json_end(&d->json);
		json_end(&d->json);
		diff_flush(d);
	}
	diff_forget(d);
}

static void diff_begin(struct diff_out *d, const struct decant_images_change *c)
{
	d->begun = true;
	d->kind = c->kind;
	d->id = c->id;
	diff_learn(d);
	if (d->o->json) {
		json_object(&d->json);
		json_member_string(&d->json, "kind",
				   c->kind == DECANT_IMAGES_SHMEM ? "shmem" : "process");
		json_member_u64(&d->json, "id", c->id);
		if (d->o->ranges) {
			json_key(&d->json, "ranges");
			json_array(&d->json);
		}
	} else if (!d->o->quiet) {
		(void)printf("%s %" PRIu64 ":\n  %12s %-12s %10s %10s %10s %10s\n",
			     c->kind == DECANT_IMAGES_SHMEM ? "shared memory" : "process", c->id,
			     "", "pages:", "same", "differ", "only 1st", "only 2nd");
	}
}

static void diff_range(struct diff_out *d, const struct decant_images_change *c)
{
	if (d->o->json) {
		json_object(&d->json);
		json_member_u64(&d->json, "start", c->start);
		json_member_u64(&d->json, "pages", (c->end - c->start) / DIFF_PAGE);
		json_member_string(&d->json, "what", diff_keys[c->what]);
		json_end(&d->json);
		diff_flush(d);
	} else if (!d->o->quiet) {
		(void)printf("    %12" PRIx64 "-%-12" PRIx64 " %10" PRIu64 " %s\n", c->start,
			     c->end, (c->end - c->start) / DIFF_PAGE, diff_words[c->what]);
	}
}

/* Changes and mappings ascend. */
static void diff_count(struct diff_out *d, const struct decant_images_change *c)
{
	uint64_t at = c->start, end;

	while (at < c->end) {
		struct diff_row *row = &d->rest;

		while (d->at < d->n && d->rows[d->at].end <= at)
			d->at++;
		end = c->end;
		if (d->at < d->n && d->rows[d->at].start <= at) {
			row = &d->rows[d->at];
			end = min_u64(end, row->end);
		} else if (d->at < d->n) {
			end = min_u64(end, d->rows[d->at].start);
		}
		if (row == &d->rest) {
			row->start = row->end ? row->start : at;
			row->end = end;
		}
		row->pages[c->what] += (end - at) / DIFF_PAGE;
		at = end;
	}
}

static int diff_change(void *arg, const struct decant_images_change *c)
{
	struct diff_out *d = arg;

	if (!d->begun || d->kind != c->kind || d->id != c->id) {
		diff_end(d);
		diff_begin(d, c);
	}
	if (c->what != DECANT_IMAGES_SAME) {
		d->pages += (c->end - c->start) / DIFF_PAGE;
		if (d->o->ranges)
			diff_range(d, c);
	}
	diff_count(d, c);
	return 0;
}

int images_diff(struct decant_images *a, struct decant_images *b, const struct images_options *o,
		uint64_t *ret_pages)
{
	struct diff_out d = { .o = o, .a = a, .b = b, .json = JSON_INIT };
	int r;

	if (o->json) {
		json_object(&d.json);
		json_key(&d.json, "pagemaps");
		json_array(&d.json);
	}
	r = decant_images_diff(a, b, diff_change, &d);
	diff_end(&d);
	if (o->json) {
		json_end(&d.json);
		json_member_u64(&d.json, "different_pages", d.pages);
		json_end(&d.json);
		diff_flush(&d);
		(void)putchar('\n');
	} else if (r == 0 && !o->quiet) {
		(void)printf("%" PRIu64 " page%s differ%s, %" PRIu64 " %s the same\n", d.pages,
			     d.pages == 1 ? "" : "s", d.pages == 1 ? "s" : "", d.same,
			     d.same == 1 ? "is" : "are");
	}
	json_free(&d.json);
	diff_forget(&d);
	free(d.rows);
	*ret_pages = d.pages;
	return r;
}
