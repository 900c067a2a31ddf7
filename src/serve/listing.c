/* SPDX-License-Identifier: MIT */
#include "serve/listing.h"

#include <stdlib.h>

#include "serve/date.h"
#include "serve/path.h"

static const char listing_style[] =
	":root{color-scheme:light dark;--ink:#1f2328;--dim:#656d76;--line:#d8dee4;--back:#fff;"
	"--link:#0757b8;--hover:#f3f6fa;--dir:#9a6700}"
	"@media(prefers-color-scheme:dark){:root{--ink:#dde3ea;--dim:#8b949e;--line:#2d333b;"
	"--back:#14181d;--link:#7ab7ff;--hover:#1d232b;--dir:#d9a441}}"
	"*{box-sizing:border-box}"
	"body{margin:0;background:var(--back);color:var(--ink);"
	"font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
	"main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 3rem}"
	"h1{font-size:1.25rem;font-weight:600;margin:0 0 1rem;overflow-wrap:anywhere}"
	"h1 a{color:var(--ink)}h1 span{color:var(--dim);font-weight:400;padding:0 .3em}"
	"a{color:var(--link);text-decoration:none}a:hover,a:focus{text-decoration:underline}"
	"table{width:100%;border-collapse:collapse}"
	"th{font-weight:500;font-size:.8125rem;text-align:left;padding:.25rem .5rem;"
	"border-bottom:1px solid var(--line);white-space:nowrap}"
	"th a{color:var(--dim)}"
	"td{padding:0;border-bottom:1px solid var(--line)}"
	"tr:hover td{background:var(--hover)}"
	"td a{display:flex;gap:.6rem;padding:.45rem .5rem;overflow-wrap:anywhere}"
	"td a svg{flex:none;margin-top:.25rem;color:var(--dim)}td.d a svg{color:var(--dir)}"
	".s,.t{color:var(--dim);font-size:.875rem;white-space:nowrap;padding:.45rem .5rem;"
	"font-variant-numeric:tabular-nums}"
	"th.s,th.t{font-size:.8125rem;padding:.25rem .5rem}"
	".s{text-align:right;width:6rem}.t{width:10.5rem}"
	"footer{color:var(--dim);font-size:.8125rem;padding:.75rem .5rem}"
	".e{padding:18vh 1rem 0;text-align:center}.e b{display:block;font-size:3.5rem;"
	"font-weight:300;color:var(--dim)}"
	"@media(max-width:36rem){main{padding:1rem .25rem 2rem}h1{margin-left:.5rem}"
	".t,th.t{display:none}td a{padding:.7rem .5rem}.s{width:5rem}}";

/* A folder and a sheet; one definition each, used by all rows. */
static const char listing_icons[] =
	"<svg width=\"0\" height=\"0\" style=\"position:absolute\" aria-hidden=\"true\"><defs>"
	"<path id=\"d\" d=\"M1.5 3h4.6l1.5 1.7h6.9v8.8h-13z\"/>"
	"<path id=\"f\" d=\"M3.5 1.5h6l3 3v10h-9zM9.5 1.5v3h3\"/></defs></svg>";

void listing_escape(struct buf *b, const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)text[i];
		unsigned more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 :
				c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 4, n = 0;

		while (more < 4 && n < more && i + n + 1 < len &&
		       ((unsigned char)text[i + n + 1] & 0xc0) == 0x80)
			n++;
		if (more == 4 || n < more || c == 0x7f || (c < ' ' && c != '\t')) {
			buf_puts(b, "\xef\xbf\xbd");
			i++;
			continue;
		}
		if (c == '&')
			buf_puts(b, "&amp;");
		else if (c == '<')
			buf_puts(b, "&lt;");
		else if (c == '>')
			buf_puts(b, "&gt;");
		else if (c == '"')
			buf_puts(b, "&quot;");
		else if (c == '\'')
			buf_puts(b, "&#39;");
		else
			buf_append(b, text + i, more + 1);
		i += more + 1;
	}
}

void listing_ask(struct span query, enum listing_order *ret_order, bool *ret_reverse)
{
	struct span one;

	*ret_order = ORDER_NAME;
	*ret_reverse = false;
	while (span_next(&query, '&', &one)) {
		if (span_is(one, "sort=size"))
			*ret_order = ORDER_SIZE;
		else if (span_is(one, "sort=time"))
			*ret_order = ORDER_TIME;
		else if (span_is(one, "reverse"))
			*ret_reverse = true;
	}
}

/* ----------------------------------------------------------------- order */

static bool listing_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int listing_letter(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 32 : c);
}

/* Of equal numbers that with fewer zeros in front; then the larger letters first. */
int listing_compare_names(const char *a, const char *b)
{
	const char *p = a, *q = b;

	while (*p && *q) {
		if (listing_digit(*p) && listing_digit(*q)) {
			size_t n = 0, m = 0;
			int c;

			while (*p == '0' && listing_digit(p[1]))
				p++;
			while (*q == '0' && listing_digit(q[1]))
				q++;
			while (listing_digit(p[n]))
				n++;
			while (listing_digit(q[m]))
				m++;
			if (n != m)
				return n < m ? -1 : 1;
			c = memcmp(p, q, n);
			if (c)
				return c;
			p += n;
			q += n;
			continue;
		}
		if (listing_letter(*p) != listing_letter(*q))
			return listing_letter(*p) - listing_letter(*q);
		p++;
		q++;
	}
	if (*p || *q)
		return *p ? 1 : -1;
	return strcmp(a, b);
}

static int listing_by_name(const void *a, const void *b)
{
	const struct listing_entry *x = a, *y = b;

	if (x->is_dir != y->is_dir)
		return x->is_dir ? -1 : 1;
	return listing_compare_names(x->name, y->name);
}

static int listing_by_size(const void *a, const void *b)
{
	const struct listing_entry *x = a, *y = b;

	if (x->is_dir || y->is_dir || x->size == y->size)
		return listing_by_name(a, b);
	return x->size < y->size ? -1 : 1;
}

static int listing_by_time(const void *a, const void *b)
{
	const struct listing_entry *x = a, *y = b;

	if (x->is_dir != y->is_dir || x->mtime == y->mtime)
		return listing_by_name(a, b);
	return x->mtime < y->mtime ? -1 : 1;
}

void listing_sort(struct listing *l)
{
	static int (*const by[])(const void *, const void *) = {
		[ORDER_NAME] = listing_by_name,
		[ORDER_SIZE] = listing_by_size,
		[ORDER_TIME] = listing_by_time,
	};
	size_t dirs = 0;

	if (l->n == 0)
		return;
	qsort(l->v, l->n, sizeof(*l->v), by[l->order]);
	if (!l->reverse)
		return;
	/* Directories stay in front. */
	while (dirs < l->n && l->v[dirs].is_dir)
		dirs++;
	for (size_t part = 0; part < 2; part++) {
		size_t i = part ? dirs : 0, k = part ? l->n : dirs;

		for (; i + 1 < k; i++) {
			struct listing_entry e = l->v[--k];

			l->v[k] = l->v[i];
			l->v[i] = e;
		}
	}
}

/* ------------------------------------------------------------------ page */

static void listing_begin(struct buf *b)
{
	buf_puts(b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
		    "<link rel=\"icon\" href=\"data:,\"><title>");
}

static void listing_size(struct buf *b, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	unsigned u = 0;

	while (v >= 999.5 && u < 6) {
		v /= 1024;
		u++;
	}
	buf_printf(b, u && v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void listing_time(struct buf *b, int64_t mtime, bool machine)
{
	struct date d;

	date_split(mtime, &d);
	buf_printf(b, machine ? "%04lld-%02u-%02uT%02u:%02uZ" : "%04lld-%02u-%02u %02u:%02u",
		   (long long)d.year, d.month, d.day, d.hour, d.minute);
}

/* The way down to here, each step a link. */
static void listing_trail(struct buf *b, const char *path)
{
	const char *from = path;

	buf_puts(b, "<h1><a href=\"/\">Home</a><span>/</span>");
	while (*from) {
		size_t len = strcspn(from, "/");

		buf_puts(b, "<a href=\"/");
		path_encode(b, path, (size_t)(from - path) + len);
		buf_puts(b, "/\">");
		listing_escape(b, from, len);
		buf_puts(b, "</a>");
		from += len + (from[len] == '/');
		if (*from)
			buf_puts(b, "<span>/</span>");
	}
	buf_puts(b, "</h1>\n");
}

static void listing_column(struct buf *b, const struct listing *l, enum listing_order order,
			   const char *class, const char *title)
{
	static const char *const words[] = { "name", "size", "time" };
	bool here = l->order == order;

	buf_printf(b, "<th%s%s scope=\"col\"%s><a href=\"?sort=%s%s\">%s%s</a></th>",
		   *class ? " class=" : "", class,
		   !here ? "" : l->reverse ? " aria-sort=\"descending\"" :
					     " aria-sort=\"ascending\"",
		   words[order], here && !l->reverse ? "&amp;reverse" : "", title,
		   here ? l->reverse ? " \xe2\x86\x93" : " \xe2\x86\x91" : "");
}

static void listing_row(struct buf *b, const struct listing_entry *e)
{
	size_t len = strlen(e->name);

	/* "./" in front: a name with a colon is no scheme. */
	buf_printf(b, "<tr><td%s><a href=\"./", e->is_dir ? " class=d" : "");
	path_encode(b, e->name, len);
	buf_printf(b, "%s\"><svg width=\"16\" height=\"16\" fill=\"none\" stroke=\"currentColor\" "
		      "stroke-width=\"1.3\" aria-hidden=\"true\"><use href=\"#%s\"/></svg><span>",
		   e->is_dir ? "/" : "", e->is_dir ? "d" : "f");
	listing_escape(b, e->name, len);
	buf_printf(b, "%s</span></a></td><td class=s>", e->is_dir ? "/" : "");
	if (!e->is_dir)
		listing_size(b, e->size);
	buf_puts(b, "</td><td class=t><time datetime=\"");
	listing_time(b, e->mtime, true);
	buf_puts(b, "\">");
	listing_time(b, e->mtime, false);
	buf_puts(b, "</time></td></tr>\n");
}

static void listing_foot(struct buf *b, const struct listing *l)
{
	uint64_t files = 0, bytes = 0;

	for (size_t i = 0; i < l->n; i++)
		if (!l->v[i].is_dir) {
			files++;
			bytes += l->v[i].size;
		}
	buf_puts(b, "<footer>");
	if (l->n == 0) {
		buf_puts(b, "Nothing is here.");
	} else {
		if (l->n > files)
			buf_printf(b, "%llu folder%s%s", (unsigned long long)(l->n - files),
				   l->n - files == 1 ? "" : "s", files ? ", " : "");
		if (files) {
			buf_printf(b, "%llu file%s, ", (unsigned long long)files,
				   files == 1 ? "" : "s");
			listing_size(b, bytes);
		}
		buf_puts(b, " \xc2\xb7 times are UTC");
	}
	if (l->more)
		buf_printf(b, " \xc2\xb7 %llu more are not shown", (unsigned long long)l->more);
	buf_puts(b, "</footer>");
}

void listing_page(struct buf *b, const struct listing *l)
{
	listing_begin(b);
	buf_putc(b, '/');
	listing_escape(b, l->path, strlen(l->path));
	buf_printf(b, "%s</title><style>%s</style></head>\n<body>%s<main>", *l->path ? "/" : "",
		   listing_style, listing_icons);
	listing_trail(b, l->path);
	buf_puts(b, "<table><thead><tr>");
	listing_column(b, l, ORDER_NAME, "", "Name");
	listing_column(b, l, ORDER_SIZE, "s", "Size");
	listing_column(b, l, ORDER_TIME, "t", "Changed");
	buf_puts(b, "</tr></thead><tbody>\n");
	if (*l->path)
		buf_puts(b, "<tr><td class=d colspan=3><a href=\"../\" aria-label=\"Up\">"
			    "<svg width=\"16\" height=\"16\" fill=\"none\" "
			    "stroke=\"currentColor\" stroke-width=\"1.3\" aria-hidden=\"true\">"
			    "<path d=\"M8 13.5v-10M3.5 8 8 3.5 12.5 8\"/></svg>"
			    "<span>..</span></a></td></tr>\n");
	for (size_t i = 0; i < l->n; i++)
		listing_row(b, &l->v[i]);
	buf_puts(b, "</tbody></table>");
	listing_foot(b, l);
	buf_puts(b, "</main></body></html>\n");
}

void listing_error_page(struct buf *b, unsigned status, const char *reason)
{
	listing_begin(b);
	buf_printf(b, "%u %s</title><style>%s</style></head>\n"
		      "<body><main class=e><b>%u</b>%s</main></body></html>\n",
		   status, reason, listing_style, status, reason);
}
