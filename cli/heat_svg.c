/* SPDX-License-Identifier: MIT */
#include "heat_svg.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "heat_place.h"
#include "text.h"
#include "xml.h"

/* All in pixels. */
#define SVG_WIDTH 1120.0
#define SVG_LEFT 250.0           /* of the plot: names stand before it */
#define SVG_RIGHT 990.0          /* rates stand behind it */
#define SVG_TOTAL_TOP 92.0
#define SVG_TOTAL_HEIGHT 64.0
#define SVG_NAME_MAX 34          /* characters */
#define SVG_CLASSES 8

static const double svg_steps[SVG_CLASSES] = { 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1 };
static const char *const svg_step_names[SVG_CLASSES] = { "0.1", "0.3", "1", "3", "10", "30", "60",
							 "100 %" };

/* The darker the more on a light page, the lighter the more on a dark one. */
static const char svg_style[] =
	"<style>\n"
	"text{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px;fill:#24292f}\n"
	".title{font-size:19px;font-weight:600}\n"
	".dim{fill:#66707b;font-size:11px}\n"
	".end{text-anchor:end}.mid{text-anchor:middle}\n"
	".page{fill:#fff}.lane{fill:#f3f4f6}.total{fill:#7c8aa0}\n"
	"rect{shape-rendering:crispEdges}\n"
	".line{stroke:#c9ced6;stroke-width:1}.tick{stroke:#8b95a1;stroke-width:1}\n"
	".c1{fill:#fde4bd}.c2{fill:#fdcb8b}.c3{fill:#fbab62}.c4{fill:#f3834b}\n"
	".c5{fill:#dd5844}.c6{fill:#b8325a}.c7{fill:#841f69}.c8{fill:#45105c}\n"
	"@media (prefers-color-scheme:dark){\n"
	"text{fill:#e6e9ee}.dim{fill:#98a2b0}\n"
	".page{fill:#101319}.lane{fill:#1a1e26}.total{fill:#7f8ea6}\n"
	".line{stroke:#39404c}.tick{stroke:#6b7686}\n"
	".c1{fill:#33184f}.c2{fill:#531a66}.c3{fill:#7d226d}.c4{fill:#ab3262}\n"
	".c5{fill:#d64f4a}.c6{fill:#f0783a}.c7{fill:#f9ab3f}.c8{fill:#fbe98a}\n"
	"}\n"
	"</style>\n";

struct svg {
	const struct heat *h;
	struct buf *b;
	struct heat_places at;
	uint64_t begin_ns, end_ns;
};

static double svg_x(const struct svg *s, uint64_t ns)
{
	double all = (double)(s->end_ns - s->begin_ns);

	return SVG_LEFT + (SVG_RIGHT - SVG_LEFT) * (double)(ns - s->begin_ns) /
				  (all > 0 ? all : 1);
}

static void svg_text(struct svg *s, double x, double y, const char *class, const char *text)
{
	buf_printf(s->b, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
	xml_text(s->b, text);
	buf_puts(s->b, "</text>\n");
}

/* ------------------------------------------------------------------- cells */

static unsigned svg_class(double share)
{
	unsigned i = 0;

	while (i < SVG_CLASSES - 1 && share > svg_steps[i])
		i++;
	return i + 1;
}

static uint64_t svg_row_bytes(const struct svg *s, const struct heat_place *l, uint64_t row)
{
	uint64_t start = row << l->shift, end = (row + 1) << l->shift;

	if (l->index == HEAT_PLACE_REST)
		return s->at.rest_bytes;
	start = start < l->lane->start ? l->lane->start : start;
	end = end > l->lane->end ? l->lane->end : end;
	return end - start;
}

static void svg_cell(struct svg *s, const struct heat_place *l, size_t column, uint64_t row,
		     uint64_t pages)
{
	const struct heat_column *c = &s->h->columns[column];
	unsigned intervals = column + 1 < s->h->columns_n ? s->h->fold : s->h->filled;
	double share = (double)pages * 4096 / (double)svg_row_bytes(s, l, row) / intervals;
	double height = l->height / l->rows, x = svg_x(s, c->begin_ns);
	uint64_t start = l->index == HEAT_PLACE_REST ? 0 : row << l->shift;

	buf_printf(s->b, "<rect class=\"c%u\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
		   "data-column=\"%zu\" data-start=\"%" PRIu64 "\" data-pages=\"%" PRIu64 "\"/>\n",
		   svg_class(share), x, l->top + height * (double)(row - l->first),
		   svg_x(s, c->end_ns) - x, height, column, start, pages);
}

static bool svg_shown(const struct svg *s, size_t lane)
{
	for (size_t i = 0; i < s->at.n; i++)
		if (s->at.lanes[i].index == lane)
			return true;
	return false;
}

static void svg_rest(struct svg *s, const struct heat_place *l, size_t column)
{
	const struct heat_column *c = &s->h->columns[column];
	uint64_t pages = 0;

	for (size_t i = 0; i < c->n; i++)
		if (!svg_shown(s, c->cells[i].lane))
			pages += c->cells[i].pages;
	if (pages)
		svg_cell(s, l, column, 0, pages);
}

/* Cells of a column are sorted by lane and bin: those of a row follow each other. */
static void svg_column(struct svg *s, const struct heat_place *l, size_t column)
{
	const struct heat_column *c = &s->h->columns[column];
	uint64_t row = 0, pages = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct heat_cell *cell = &c->cells[i];
		uint64_t at = cell->bin >> (l->shift - l->lane->shift);

		if (cell->lane != l->index)
			continue;
		if (pages && at != row) {
			svg_cell(s, l, column, row, pages);
			pages = 0;
		}
		row = at;
		pages += cell->pages;
	}
	if (pages)
		svg_cell(s, l, column, row, pages);
}

/* ------------------------------------------------------------------- lanes */

/* "1.2k", "340", "0.4" */
static const char *svg_number(char buf[TEXT_NUMBER_MAX], double v)
{
	static const char units[] = " kMG";
	unsigned unit = 0;

	while (v >= 1000 && unit < 3) {
		v /= 1000;
		unit++;
	}
	(void)snprintf(buf, TEXT_NUMBER_MAX, v < 9.95 && (unit || v < 0.95) ? "%.1f%.*s" :
		       "%.0f%.*s", v, unit ? 1 : 0, units + unit);
	return buf;
}

/* The end of a path says more than its beginning. */
static void svg_name(const struct svg *s, const struct heat_place *l, char *ret, size_t size)
{
	const char *name = l->lane->name, *at;
	unsigned columns;

	if (l->index == HEAT_PLACE_REST) {
		(void)snprintf(ret, size, "%zu more mappings", s->at.rest_n);
		return;
	}
	if (!name || !name[0])
		name = l->lane->rest ? "others" : "anonymous";
	columns = text_columns(name);
	for (at = name; columns > SVG_NAME_MAX && *at; at++)
		if (((unsigned char)at[1] & 0xc0) != 0x80)
			columns--;
	(void)snprintf(ret, size, "%s%s", at == name ? "" : "\xe2\x80\xa6", at);
}

static void svg_labels(struct svg *s, const struct heat_place *l)
{
	char name[512], rate[TEXT_NUMBER_MAX], bytes[TEXT_NUMBER_MAX], line[160];
	double seconds = (double)(s->end_ns - s->begin_ns) / 1e9, mid = l->top + l->height / 2 + 4;
	bool two = l->height >= 30;

	svg_name(s, l, name, sizeof(name));
	svg_text(s, SVG_LEFT - 10, two ? mid - 7 : mid, "end", name);
	if (two && l->index != HEAT_PLACE_REST) {
		(void)snprintf(line, sizeof(line), "%" PRIx64 ", %s", l->lane->start,
			       text_bytes(bytes, l->lane->end - l->lane->start));
		svg_text(s, SVG_LEFT - 10, mid + 8, "dim end", line);
	}
	(void)snprintf(line, sizeof(line), "%s pages/s",
		       svg_number(rate, (double)l->lane->pages / (seconds > 0 ? seconds : 1)));
	svg_text(s, SVG_RIGHT + 10, mid, "rate", line);
}

static void svg_lane(struct svg *s, const struct heat_place *l)
{
	buf_puts(s->b, "<g data-name=\"");
	xml_text(s->b, l->lane->name ? l->lane->name : "");
	buf_printf(s->b, "\" data-start=\"%" PRIu64 "\" data-end=\"%" PRIu64 "\" data-row-bytes=\"%"
		   PRIu64 "\" data-pages=\"%" PRIu64 "\">\n", l->lane->start, l->lane->end,
		   l->index == HEAT_PLACE_REST ? s->at.rest_bytes : UINT64_C(1) << l->shift,
		   l->lane->pages);
	if (l->lane->name && l->lane->name[0]) {
		buf_puts(s->b, "<title>");
		xml_text(s->b, l->lane->name);
		buf_puts(s->b, "</title>\n");
	}
	buf_printf(s->b, "<rect class=\"lane\" x=\"%.1f\" y=\"%.2f\" width=\"%.1f\" "
		   "height=\"%.2f\"/>\n", SVG_LEFT, l->top, SVG_RIGHT - SVG_LEFT, l->height);
	for (size_t c = 0; c < s->h->columns_n; c++) {
		if (l->index == HEAT_PLACE_REST)
			svg_rest(s, l, c);
		else
			svg_column(s, l, c);
	}
	svg_labels(s, l);
	buf_puts(s->b, "</g>\n");
}

/* --------------------------------------------------------- total, axes, legend */

static double svg_rate(const struct heat_column *c)
{
	double seconds = (double)(c->end_ns - c->begin_ns) / 1e9;

	return (double)c->pages / (seconds > 0 ? seconds : 1);
}

static void svg_total(struct svg *s)
{
	double most = 0, bottom = SVG_TOTAL_TOP + SVG_TOTAL_HEIGHT;
	char rate[TEXT_NUMBER_MAX], bytes[TEXT_NUMBER_MAX], line[120];

	for (size_t i = 0; i < s->h->columns_n; i++)
		most = svg_rate(&s->h->columns[i]) > most ? svg_rate(&s->h->columns[i]) : most;
	buf_puts(s->b, "<g class=\"columns\">\n");
	for (size_t i = 0; i < s->h->columns_n; i++) {
		const struct heat_column *c = &s->h->columns[i];
		double height = most > 0 ? svg_rate(c) / most * SVG_TOTAL_HEIGHT : 0;
		double x = svg_x(s, c->begin_ns);

		buf_printf(s->b, "<rect class=\"total\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
			   "height=\"%.2f\" data-column=\"%zu\" data-begin-ns=\"%" PRIu64
			   "\" data-end-ns=\"%" PRIu64 "\" data-pages=\"%" PRIu64 "\"/>\n", x,
			   bottom - height, svg_x(s, c->end_ns) - x, height, i, c->begin_ns,
			   c->end_ns, c->pages);
	}
	buf_puts(s->b, "</g>\n");
	buf_printf(s->b, "<line class=\"line\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
		   SVG_LEFT, bottom, SVG_RIGHT, bottom);
	svg_text(s, SVG_LEFT - 10, bottom - SVG_TOTAL_HEIGHT / 2 - 2, "end", "all mappings");
	(void)snprintf(line, sizeof(line), "up to %s pages/s", svg_number(rate, most));
	svg_text(s, SVG_RIGHT + 10, SVG_TOTAL_TOP + 10, "rate", line);
	(void)snprintf(line, sizeof(line), "%s/s", text_bytes(bytes, (uint64_t)(most * 4096)));
	svg_text(s, SVG_RIGHT + 10, SVG_TOTAL_TOP + 25, "dim", line);
}

static void svg_time(struct svg *s)
{
	static const double nice[] = { 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2,
				       5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600,
				       43200, 86400 };
	double seconds = (double)(s->end_ns - s->begin_ns) / 1e9, step = 86400;
	char line[40];

	for (size_t i = 0; i < sizeof(nice) / sizeof(nice[0]); i++)
		if (seconds / nice[i] <= 10) {
			step = nice[i];
			break;
		}
	while (seconds / step > 12)
		step *= 2;
	for (unsigned i = 0; i * step <= seconds * 1.0001; i++) {
		double at = i * step, x = SVG_LEFT + (SVG_RIGHT - SVG_LEFT) * at /
							   (seconds > 0 ? seconds : 1);

		buf_printf(s->b, "<line class=\"tick\" x1=\"%.2f\" y1=\"%.1f\" x2=\"%.2f\" "
			   "y2=\"%.1f\"/>\n", x, s->at.bottom + 4, x, s->at.bottom + 9);
		if (at >= 120 && step >= 60)
			(void)snprintf(line, sizeof(line), "%g min", at / 60);
		else
			(void)snprintf(line, sizeof(line), "%g s", at);
		svg_text(s, x, s->at.bottom + 23, "mid", line);
	}
}

static void svg_legend(struct svg *s)
{
	double x = SVG_LEFT, y = s->at.bottom + 44, wide = 44;
	char line[160];
	double ns = s->h->columns_n ? (double)(s->h->columns[0].end_ns -
					       s->h->columns[0].begin_ns) / s->h->fold : 0;

	for (unsigned i = 0; i < SVG_CLASSES; i++) {
		buf_printf(s->b, "<rect class=\"c%u key\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
			   "height=\"12\"/>\n", i + 1, x + wide * i, y, wide);
		svg_text(s, x + wide * (i + 1), y + 26, "dim mid", svg_step_names[i]);
	}
	svg_text(s, x, y + 26, "dim mid", "0");
	(void)snprintf(line, sizeof(line), "of the memory behind a cell was written within %.3g %s",
		       ns < 0.995e9 ? ns / 1e6 : ns / 1e9, ns < 0.995e9 ? "ms" : "s");
	svg_text(s, x + wide * SVG_CLASSES + 28, y + 11, "key", line);
	svg_text(s, x + wide * SVG_CLASSES + 28, y + 26, "dim",
		 "addresses grow downward; what lies between mappings is left out");
}

int heat_svg(const struct heat *h, const char *title, const char *note, struct buf *ret)
{
	struct svg s = { .h = h, .b = ret };
	double height;
	int r = h->error ? h->error : heat_places(h, &s.at);

	if (r < 0)
		return r;
	if (h->columns_n) {
		s.begin_ns = h->columns[0].begin_ns;
		s.end_ns = h->columns[h->columns_n - 1].end_ns;
	}
	if (!s.at.n)
		s.at.bottom = HEAT_PLACE_TOP + 40;
	height = s.at.bottom + 90;
	buf_printf(ret, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		   "viewBox=\"0 0 %.0f %.0f\">\n<title>", SVG_WIDTH, height, SVG_WIDTH, height);
	xml_text(ret, title);
	buf_puts(ret, "</title>\n");
	buf_puts(ret, svg_style);
	buf_printf(ret, "<rect class=\"page\" width=\"%.0f\" height=\"%.0f\"/>\n", SVG_WIDTH,
		   height);
	svg_text(&s, 28, 40, "title", title);
	svg_text(&s, 28, 62, "dim", note);
	svg_total(&s);
	for (size_t i = 0; i < s.at.n; i++)
		svg_lane(&s, &s.at.lanes[i]);
	if (!s.at.n)
		svg_text(&s, SVG_LEFT, HEAT_PLACE_TOP + 20, "dim", "nothing was written");
	svg_time(&s);
	svg_legend(&s);
	buf_puts(ret, "</svg>\n");
	heat_places_free(&s.at);
	return ret->error;
}
