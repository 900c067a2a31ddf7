/* SPDX-License-Identifier: MIT */
/* serve/: what is asked for: requests, whole and in pieces, their paths and dates. */

#include "serve/date.h"
#include "serve/path.h"
#include "serve/request.h"
#include "tap.h"

/* -------------------------------------------------------------- requests */

#define H "Host: x\r\n"

static const struct {
	const char *text;
	int refuse;          /* -1: not complete */
	bool keep_alive, has_body;
	int method;
	const char *target;
} requests[] = {
	{ "GET / HTTP/1.1\r\n" H "\r\n", 0, true, false, METHOD_GET, "/" },
	{ "\r\n\r\nGET /x HTTP/1.1\r\n" H "\r\n", 0, true, false, METHOD_GET, "/x" },
	{ "HEAD /a?b HTTP/1.1\n" "Host: x\n\n", 0, true, false, METHOD_HEAD, "/a?b" },
	{ "GET / HTTP/1.0\r\n\r\n", 0, false, false, METHOD_GET, "/" },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, true, false, METHOD_GET, "/" },
	{ "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 0, false, false, METHOD_GET, "/" },
	{ "OPTIONS * HTTP/1.1\r\n" H "\r\n", 0, true, false, METHOD_OPTIONS, "*" },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc", 0, false, true, METHOD_OTHER,
	  "/" },
	{ "GET / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0, true, false, METHOD_GET, "/" },
	{ "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 0, false, true, METHOD_GET,
	  "/" },
	{ "GET http://h/p HTTP/1.1\r\n" H "\r\n", 0, true, false, METHOD_GET, "http://h/p" },
	{ "GET / HTTP/1.1\r\n" H "\r", -1, 0, 0, 0, NULL },
	{ "GET / HTTP/1.1\r\n" H, -1, 0, 0, 0, NULL },
	{ "GET", -1, 0, 0, 0, NULL },
	{ "\r\n", -1, 0, 0, 0, NULL },
	{ "", -1, 0, 0, 0, NULL },
	{ "GET / HTTP/1.1\r\n\r\n", 400, false, false, METHOD_GET, "/" },
	{ "GET / HTTP/1.1\r\n" H H "\r\n", 400, false, false, METHOD_GET, "/" },
	{ "GET / HTTP/2.0\r\n" H "\r\n", 505, false, false, METHOD_GET, "/" },
	{ "GET /\r\n\r\n", 505, false, false, METHOD_GET, "/" },
	{ "BREW / HTTP/1.1\r\n" H "\r\n", 400, false, false, METHOD_OTHER, NULL },
	{ "GET / HTTP/1.1\r\nA b: c\r\n" H "\r\n", 400, false, false, METHOD_GET, "/" },
	{ "GET / HTTP/1.1\r\n" H "Content-Length: x\r\n\r\n", 400, false, false, METHOD_GET, "/" },
	{ "GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, false,
	  false, METHOD_GET, "/" },
	{ "\x16\x03\x01\x02\n\n", 400, false, false, METHOD_OTHER, NULL },
};

static void test_requests(void)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		const char *text = requests[i].text;
		size_t len = strlen(text), scanned = 0, n;
		struct request r;

		n = request_parse(text, len, &scanned, &r);
		if (requests[i].refuse < 0) {
			is_int(n, 0, "request %zu: not complete", i);
			continue;
		}
		ok(n > 0 && n <= len, "request %zu: complete", i);
		is_int(r.refuse, requests[i].refuse, "  status");
		is_int(r.keep_alive, requests[i].keep_alive, "  keep-alive");
		if (!r.refuse) {
			is_int(r.has_body, requests[i].has_body, "  body");
			is_int(r.method, requests[i].method, "  method");
			ok(span_is(r.part[PART_TARGET], requests[i].target), "  target");
		}
	}
}

/* However it is cut, what comes out is the same. */
static void test_pieces(void)
{
	static const char text[] = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\n"
				   "User-Agent: u a\r\nIf-None-Match: \"a\"\r\n\r\n";
	size_t len = sizeof(text) - 1, scanned = 0;
	struct request r;
	char moved[sizeof(text)];

	for (size_t i = 0; i < len; i++)
		if (request_parse(text, i, &scanned, &r) != 0)
			bail("complete after %zu of %zu bytes", i, len);
	is_int(request_parse(text, len, &scanned, &r), len, "a head byte by byte");
	ok(span_is(r.part[PART_LINE], "GET /a HTTP/1.1"), "  its line");
	ok(span_is(r.part[PART_RANGE], "bytes=1-2"), "  its range");
	ok(span_is(r.part[PART_USER_AGENT], "u a"), "  its agent");
	memcpy(moved, text, sizeof(text));
	request_move(&r, text, moved);
	ok(r.part[PART_IF_NONE_MATCH].s > moved && span_is(r.part[PART_IF_NONE_MATCH], "\"a\""),
	   "  moved");
	ok(!r.part[PART_HOST].s || span_is(r.part[PART_HOST], "x"), "  its host");
}

static void test_bombs(void)
{
	static char text[3 * REQUEST_HEAD_MAX];
	size_t scanned = 0;
	struct request r;

	memset(text, 'a', sizeof(text));
	memcpy(text, "GET /", 5);
	ok(request_parse(text, sizeof(text), &scanned, &r) > 0, "a line without end is refused");
	is_int(r.refuse, 414, "  with 414");
	memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
	scanned = 0;
	ok(request_parse(text, REQUEST_HEAD_MAX - 1, &scanned, &r) == 0, "a long field may go on");
	ok(request_parse(text, sizeof(text), &scanned, &r) > 0, "  but not for ever");
	is_int(r.refuse, 431, "  431");
	memset(text, '\n', sizeof(text));
	scanned = 0;
	ok(request_parse(text, sizeof(text), &scanned, &r) > 0, "empty lines, too");
	is_int(r.refuse, 431, "  431");
}

/* ----------------------------------------------------------------- paths */

static const struct {
	const char *target;
	int status;
	const char *path, *query;
	bool slash, hidden;
} paths[] = {
	{ "/", 0, "", NULL, true, false },
	{ "/a/b", 0, "a/b", NULL, false, false },
	{ "/a/b/", 0, "a/b", NULL, true, false },
	{ "//a///b", 0, "a/b", NULL, false, false },
	{ "/./a/./", 0, "a", NULL, true, false },
	{ "/a%20b", 0, "a b", NULL, false, false },
	{ "/a?b=c?d", 0, "a", "b=c?d", false, false },
	{ "/a#b?c", 0, "a", NULL, false, false },
	{ "/%C3%A4", 0, "\xc3\xa4", NULL, false, false },
	{ "/.a", 0, ".a", NULL, false, true },
	{ "/a/%2ea", 0, "a/.a", NULL, false, true },
	{ "/...", 0, "...", NULL, false, true },
	{ "http://h:80/a", 0, "a", NULL, false, false },
	{ "http://h", 0, "", NULL, true, false },
	{ "/..", 400, NULL, NULL, 0, 0 },
	{ "/a/../b", 400, NULL, NULL, 0, 0 },
	{ "/%2e%2e/etc/passwd", 400, NULL, NULL, 0, 0 },
	{ "/.%2e", 400, NULL, NULL, 0, 0 },
	{ "/a%2fb", 404, NULL, NULL, 0, 0 },
	{ "/..%2f..%2fetc", 404, NULL, NULL, 0, 0 },
	{ "/a%00b", 400, NULL, NULL, 0, 0 },
	{ "/a%", 400, NULL, NULL, 0, 0 },
	{ "/a%2", 400, NULL, NULL, 0, 0 },
	{ "/a%zz", 400, NULL, NULL, 0, 0 },
	{ "*", 400, NULL, NULL, 0, 0 },
	{ "a", 400, NULL, NULL, 0, 0 },
	{ "", 400, NULL, NULL, 0, 0 },
	{ "/a/%25", 0, "a/%", NULL, false, false },
	{ "/\\..\\a", 0, "\\..\\a", NULL, false, false },
};

static void test_paths(void)
{
	static char text[2 * PATH_BYTES_MAX];
	struct buf b = BUF_INIT;
	struct path p;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (!is_int(path_decode(SPAN(paths[i].target), &p), paths[i].status, "%s",
			    paths[i].target) || paths[i].status)
			continue;
		is_str(p.text, paths[i].path, "  path");
		is_int(p.len, strlen(paths[i].path), "  length");
		is_int(p.slash, paths[i].slash, "  slash");
		is_int(p.hidden, paths[i].hidden, "  hidden");
		ok(paths[i].query ? span_is(p.query, paths[i].query) : !p.query.s, "  query");
	}
	memset(text, 'a', sizeof(text));
	text[0] = '/';
	is_int(path_decode((struct span){ text, sizeof(text) }, &p), 414, "too long");
	path_encode(&b, "a b/\xc3\xa4?%<", 9);
	is_str(buf_str(&b), "a%20b/%C3%A4%3F%25%3C", "and back");
	buf_free(&b);
}

/* ----------------------------------------------------------------- dates */

static void test_dates(void)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {
		{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
		{ 4107542399, "Sun, 28 Feb 2100 23:59:59 GMT" },
		{ 4107542400, "Mon, 01 Mar 2100 00:00:00 GMT" },
		{ -1, "Wed, 31 Dec 1969 23:59:59 GMT" },
		{ 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT" },
	};
	char text[DATE_BYTES];
	int64_t back = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		date_format(text, rows[i].seconds);
		is_str(text, rows[i].text, "a date");
		ok(date_parse(SPAN(rows[i].text), &back), "  is read");
		is_int(back, rows[i].seconds, "  and is the same");
	}
	ok(date_parse(SPAN("Sunday, 06-Nov-94 08:49:37 GMT"), &back) && back == 784111777,
	   "the form of RFC 850");
	ok(date_parse(SPAN("Sun Nov  6 08:49:37 1994"), &back) && back == 784111777,
	   "that of asctime");
	ok(!date_parse(SPAN("Sun, 06 Nov 1994 08:49:37"), &back), "no zone");
	ok(!date_parse(SPAN("Sun, 06 Xyz 1994 08:49:37 GMT"), &back), "no month");
	ok(!date_parse(SPAN("Sun, 32 Nov 1994 08:49:37 GMT"), &back), "no such day");
	ok(!date_parse(SPAN(""), &back) && !date_parse((struct span){ NULL, 0 }, &back), "nothing");
}

int main(void)
{
	test_requests();
	test_pieces();
	test_bombs();
	test_paths();
	test_dates();
	return done();
}
