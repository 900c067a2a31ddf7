/* SPDX-License-Identifier: MIT */
/* Heat maps without a process: nothing is lost as they become coarser, and the XML is XML. */
#include <inttypes.h>
#include <string.h>

#include "heat.h"
#include "heat_svg.h"
#include "lib/kit.h"
#include "tap.h"
#include "xml.h"

#define PAGE UINT64_C(4096)
#define BASE UINT64_C(0x7f0000000000)

static struct decant_dirty_interval interval(unsigned n, const struct decant_dirty_mapping *m,
					     size_t mappings, const struct decant_dirty_range *r,
					     size_t ranges)
{
	struct decant_dirty_interval i = DECANT_DIRTY_INTERVAL_INIT;

	i.begin_ns = n * UINT64_C(1000000);
	i.end_ns = i.begin_ns + 1000000;
	i.mappings = m;
	i.mappings_n = mappings;
	i.ranges = r;
	i.ranges_n = ranges;
	for (size_t k = 0; k < mappings; k++)
		i.pages += m[k].pages;
	return i;
}

static uint64_t total(const struct heat *h)
{
	uint64_t pages = 0, columns = 0;

	for (size_t c = 0; c < h->columns_n; c++) {
		columns += h->columns[c].pages;
		for (size_t k = 0; k < h->columns[c].n; k++)
			pages += h->columns[c].cells[k].pages;
	}
	is_int(columns, pages, "columns have what their cells have");
	return pages;
}

static void check_cells(const struct heat *h)
{
	for (size_t c = 0; c < h->columns_n; c++)
		for (size_t k = 0; k < h->columns[c].n; k++) {
			const struct heat_cell *cell = &h->columns[c].cells[k];
			const struct heat_lane *l = &h->lanes[cell->lane];

			ok(cell->bin >= l->start >> l->shift &&
				   cell->bin <= (l->end - 1) >> l->shift,
			   "a cell lies in its lane");
			ok(k == 0 || cell[-1].lane < cell->lane ||
			   (cell[-1].lane == cell->lane && cell[-1].bin < cell->bin), "in order");
		}
	for (size_t i = 0; i < h->lanes_n; i++)
		ok(((h->lanes[i].end - 1) >> h->lanes[i].shift) -
		   (h->lanes[i].start >> h->lanes[i].shift) < HEAT_BINS_MAX, "lanes stay short");
}

/* Three thousand intervals, a mapping that grows at both ends, pages anywhere in it. */
static void grows(void)
{
	struct heat h = HEAT_INIT;
	struct buf svg = BUF_INIT;
	uint64_t pages = 0;

	for (unsigned n = 0; n < 3000; n++) {
		uint64_t start = BASE - n / 7 * PAGE, end = BASE + (16 + n * 3) * PAGE;
		struct decant_dirty_range r[3];
		struct decant_dirty_mapping m = { .start = start, .end = end, .name = "[heap]" };

		for (unsigned k = 0; k < 3; k++) {
			r[k].start = start + (end - start) / PAGE / 3 * k * PAGE +
				     kit_random() % 3 * PAGE;
			r[k].end = r[k].start + (1 + kit_random() % 2) * PAGE;
			m.pages += (r[k].end - r[k].start) / PAGE;
		}
		pages += m.pages;

		struct decant_dirty_interval i = interval(n, &m, 1, r, 3);

		heat_add(&h, &i);
	}
	is_int(total(&h), pages, "no page is lost");
	is_int(h.lanes_n, 1, "it is one mapping all the time");
	ok(h.columns_n <= 2 * HEAT_COLUMNS_MAX && h.columns_n >= HEAT_COLUMNS_MAX / 2,
	   "%zu columns", h.columns_n);
	is_int(h.columns[0].begin_ns, 0, "from the beginning");
	is_int(h.columns[h.columns_n - 1].end_ns, 3000 * UINT64_C(1000000), "to the end");
	for (size_t c = 1; c < h.columns_n; c++)
		is_int(h.columns[c].begin_ns, h.columns[c - 1].end_ns, "without a gap");
	check_cells(&h);
	is_int(heat_svg(&h, "t", "n", &svg), 0, "a picture");
	ok(svg.len < 2000000, "of %zu bytes", svg.len);
	buf_free(&svg);
	heat_free(&h);
}

/* Ranges that cross mappings, lie between them, and more mappings than there are lanes. */
static void many(void)
{
	static struct decant_dirty_mapping m[HEAT_LANES_MAX + 500];
	struct decant_dirty_range r[1] = { { BASE, BASE + 10 * PAGE * (HEAT_LANES_MAX + 500) } };
	struct heat h = HEAT_INIT;
	struct buf svg = BUF_INIT;
	size_t n = sizeof(m) / sizeof(m[0]);
	struct decant_dirty_interval i;

	for (size_t k = 0; k < n; k++)
		m[k] = (struct decant_dirty_mapping){
			.start = BASE + k * 10 * PAGE, .end = BASE + (k * 10 + 7) * PAGE,
			.pages = 7, .name = "",
		};
	i = interval(0, m, n, r, 1);
	heat_add(&h, &i);
	i = interval(1, m, n, r, 1);
	heat_add(&h, &i);
	is_int(total(&h), 2 * 7 * n, "what lies between them does not count, all else does");
	is_int(h.lanes_n, HEAT_LANES_MAX + 1, "one lane is for the rest");
	check_cells(&h);
	is_int(heat_svg(&h, "t", "n", &svg), 0, "a picture");
	ok(strstr(buf_str(&svg), "more mappings"), "says how many more there are");
	buf_free(&svg);
	heat_free(&h);
}

/* Nothing but complete tags and no bare &, quotes or control characters in it. */
static bool is_clean(const char *s)
{
	bool tag = false, quoted = false;

	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 && *s != '\n' && *s != '\t')
			return false;
		if (*s == '"' && tag)
			quoted = !quoted;
		else if (*s == '<' && tag)
			return false;
		else if (*s == '<')
			tag = true;
		else if (*s == '>' && tag && !quoted)
			tag = false;
		else if (*s == '&' && strncmp(s, "&lt;", 4) != 0 && strncmp(s, "&gt;", 4) != 0 &&
			 strncmp(s, "&amp;", 5) != 0 && strncmp(s, "&quot;", 6) != 0)
			return false;
	}
	return !tag;
}

static void hostile(void)
{
	const char *const names[] = {
		"",
		"<script>alert(1)</script>",
		"a\"b'c&d",
		"\x01\x02\x1b[2J\x7f",
		"\xff\xfe\xc0\x80",
		"\xed\xa0\x80 surrogate",
		"\xf4\x90\x80\x80",
		"\xef\xbf\xbf",
		"\xe2\x82",
		"]]>",
		"/a/very/long/path/\xc3\xa4\xc3\xb6\xc3\xbc/that/does/not/fit/into/the/margin/at/"
		"all",
	};
	struct decant_dirty_range r = { BASE, BASE + PAGE };

	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		struct decant_dirty_mapping m = { .start = BASE, .end = BASE + 100 * PAGE,
						  .pages = 1, .name = names[k] };
		struct decant_dirty_interval i = interval(0, &m, 1, &r, 1);
		struct heat h = HEAT_INIT;
		struct buf svg = BUF_INIT;
		const char *body;

		heat_add(&h, &i);
		is_int(heat_svg(&h, names[k], names[k], &svg), 0, "name %zu", k);
		body = strstr(buf_str(&svg), "</style>");
		need(body, "a style");
		ok(is_clean(body), "name %zu: %s", k, body);
		buf_free(&svg);
		heat_free(&h);
	}
	ok(!is_clean("<a b=\"<\">"), "control: that is seen");
	ok(!is_clean("a & b"), "control: and that");
}

static void text(void)
{
	static const char *const pairs[][2] = {
		{ "plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", NULL },
		{ "<&>\"", "&lt;&amp;&gt;&quot;" },
		{ "\xc3", "\xef\xbf\xbd" }, { "\xc3(", "\xef\xbf\xbd(" },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" }, { "\x01", "\xef\xbf\xbd" },
		{ "\xef\xbf\xbe", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct buf b = BUF_INIT;

		xml_text(&b, pairs[i][0]);
		is_str(buf_str(&b), pairs[i][1] ? pairs[i][1] : pairs[i][0], "text %zu", i);
		buf_free(&b);
	}
}

static void nothing(void)
{
	struct decant_dirty_interval i = interval(0, NULL, 0, NULL, 0);
	struct heat h = HEAT_INIT;
	struct buf svg = BUF_INIT;

	is_int(heat_svg(&h, "t", "n", &svg), 0, "of no interval");
	buf_clear(&svg);
	heat_add(&h, &i);
	is_int(heat_svg(&h, "t", "n", &svg), 0, "of one in which nothing was written");
	ok(strstr(buf_str(&svg), "nothing was written"), "which it says");
	buf_free(&svg);
	heat_free(&h);
}

int main(void)
{
	kit_start(60);
	tap_case("a mapping that grows, and a long time", grows);
	tap_case("more mappings than lanes", many);
	tap_case("names from anywhere", hostile);
	tap_case("text", text);
	tap_case("nothing", nothing);
	return done();
}
