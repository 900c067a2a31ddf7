/* SPDX-License-Identifier: MIT */
/* The page of a directory: order, and that no name can be more than a name. */
#include "serve/listing.h"
#include "tap.h"

static void test_names(void)
{
	static const char *const sorted[] = {
		"0", "1", "2", "10", "a", "A1", "a2", "a02b", "a10", "b", "file9.txt", "file10.txt",
		"\xc3\xa4",
	};
	size_t n = sizeof(sorted) / sizeof(sorted[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			int c = listing_compare_names(sorted[i], sorted[k]);

			if ((c > 0) - (c < 0) != (i > k) - (i < k))
				ok(false, "%s and %s: %d", sorted[i], sorted[k], c);
		}
	ok(true, "names in order");
	ok(listing_compare_names("a01", "a1") != 0, "two names are never the same");
}

static void test_order(void)
{
	struct listing_entry v[] = {
		{ (char *)"b", false, 5, 10 }, { (char *)"d", true, 0, 5 },
		{ (char *)"a", false, 7, 9 }, { (char *)"c", true, 0, 6 },
		{ (char *)"e", false, 6, 11 },
	};
	struct listing l = { .path = "", .v = v, .n = 5 };
	static const struct {
		const char *query, *want;
	} rows[] = {
		{ "", "cdabe" },	  { "reverse", "dceba" },
		{ "sort=size", "cdbea" }, { "sort=time&reverse", "cdeba" },
		{ "sort=time", "dcabe" }, { "sort=x&&=", "cdabe" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char got[6] = "";

		listing_ask(SPAN(rows[i].query), &l.order, &l.reverse);
		listing_sort(&l);
		for (size_t k = 0; k < 5; k++)
			got[k] = v[k].name[0];
		is_str(got, rows[i].want, "'%s'", rows[i].query);
	}
}

static void test_page(void)
{
	struct listing_entry v[] = {
		{ (char *)"<script>alert(1)</script>", false, 1536, 784111777 },
		{ (char *)"javascript:alert(1)", false, 0, 0 },
		{ (char *)"\" onload='x'&\xff\n", true, 0, 0 },
	};
	struct listing l = { .path = "a b/<c>", .v = v, .n = 3, .more = 9 };
	struct buf b = BUF_INIT;
	const char *s;

	listing_page(&b, &l);
	is_int(b.error, 0, "a page");
	s = buf_str(&b);
	ok(!strstr(s, "<script") && strstr(s, "&lt;script&gt;alert(1)"),
	   "no element comes of a name");
	ok(strstr(s, "href=\"./javascript%3Aalert%281%29\""), "no scheme");
	ok(!strstr(s, "\" onload") &&
		   strstr(s, "&quot; onload=&#39;x&#39;&amp;\xef\xbf\xbd\xef\xbf\xbd"),
	   "no attribute, and text that is UTF-8");
	ok(strstr(s, "<a href=\"/a%20b/%3Cc%3E/\">&lt;c&gt;</a>"), "the way here");
	ok(strstr(s, ">1.5 KiB<") && strstr(s, ">1994-11-06 08:49<"), "size and time");
	ok(strstr(s, "1 folder, 2 files, 1.5 KiB") && strstr(s, "9 more are not shown"),
	   "the sums");
	buf_free(&b);
	b = (struct buf)BUF_INIT;
	listing_error_page(&b, 404, "Not Found");
	ok(strstr(buf_str(&b), "404"), "a page of an error");
	buf_free(&b);
}

int main(void)
{
	test_names();
	test_order();
	test_page();
	return done();
}
