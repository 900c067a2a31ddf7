/* SPDX-License-Identifier: MIT */
/* serve/: what is answered: ranges, conditions, encodings, heads, and the log line. */
#include <errno.h>
#include <stdio.h>

#include "serve/condition.h"
#include "serve/encoding.h"
#include "serve/head.h"
#include "serve/log.h"
#include "serve/mime.h"
#include "serve/range.h"
#include "serve/request.h"
#include "tap.h"

/* ---------------------------------------------------------------- ranges */

static const struct {
	const char *field;
	uint64_t size;
	const char *want;    /* "a-b a-b" half open; "all", "nothing" */
} ranges[] = {
	{ "bytes=0-0", 10, "0-1" },
	{ "bytes=0-", 10, "0-10" },
	{ "bytes=9-", 10, "9-10" },
	{ "bytes=5-100", 10, "5-10" },
	{ "bytes=-3", 10, "7-10" },
	{ "bytes=-30", 10, "0-10" },
	{ "bytes=-0", 10, "nothing" },
	{ "bytes=10-", 10, "nothing" },
	{ "bytes=0-", 0, "nothing" },
	{ "bytes=-1", 0, "nothing" },
	{ "Bytes=1-2", 10, "1-3" },
	{ "bytes= 1-2 , 4-5", 10, "1-3 4-6" },
	{ "bytes=4-5,1-2", 10, "4-6 1-3" },
	{ "bytes=1-2,2-3", 10, "1-4" },
	{ "bytes=1-2,3-4", 10, "1-5" },
	{ "bytes=0-1,4-5,1-4", 10, "0-6" },
	{ "bytes=0-1,100-200", 10, "0-2" },
	{ "bytes=100-200,300-", 10, "nothing" },
	{ "bytes=,,1-2,", 10, "1-3" },
	{ "bytes=18446744073709551615-", 10, "nothing" },
	{ "bytes=0-99999999999999999999999", 10, "0-10" },
	{ "bytes=0-18446744073709551615", 10, "0-10" },
	{ "bytes=2-1", 10, "all" },
	{ "bytes=a-b", 10, "all" },
	{ "bytes=1", 10, "all" },
	{ "bytes=-", 10, "all" },
	{ "bytes=", 10, "all" },
	{ "bytes", 10, "all" },
	{ "lines=1-2", 10, "all" },
	{ "bytes=1-2-3", 10, "all" },
	{ "bytes=1-2,x", 10, "all" },
};

static void test_ranges(void)
{
	struct range v[RANGES_MAX];
	char text[400] = "bytes=";
	unsigned n;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		enum ranges what = ranges_parse(SPAN(ranges[i].field), ranges[i].size, v, &n);
		size_t at = 0;

		for (unsigned k = 0; what == RANGES_SOME && k < n; k++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%llu-%llu",
					       k ? " " : "", (unsigned long long)v[k].start,
					       (unsigned long long)v[k].end);
		is_str(what == RANGES_ALL ? "all" : what == RANGES_NOTHING ? "nothing" : text,
		       ranges[i].want, "%s of %d", ranges[i].field, (int)ranges[i].size);
	}
	(void)snprintf(text, sizeof(text), "bytes=");
	for (unsigned k = 0; k <= RANGES_MAX; k++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u-%u,", k * 2,
			       k * 2);
	is_int(ranges_parse(SPAN(text), 1000, v, &n), RANGES_ALL, "too many ranges");
	is_int(ranges_parse((struct span){ NULL, 0 }, 10, v, &n), RANGES_ALL, "no field");
}

/* ------------------------------------------------------------ conditions */

#define TAG "\"0123456789abcdef\""
#define THEN "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static const struct {
	const char *fields;
	bool weak;
	int status;
	bool range;
} conditions[] = {
	{ "", false, 0, false },
	{ "If-None-Match: " TAG "\r\n", false, 304, false },
	{ "If-None-Match: W/" TAG "\r\n", false, 304, false },
	{ "If-None-Match: " TAG "\r\n", true, 304, false },
	{ "If-None-Match: *\r\n", false, 304, false },
	{ "If-None-Match: \"x\", " TAG "\r\n", false, 304, false },
	{ "If-None-Match: \"x\"\r\n", false, 0, false },
	{ "If-None-Match: \"x\"\r\nIf-Modified-Since: " AFTER "\r\n", false, 0, false },
	{ "If-Modified-Since: " THEN "\r\n", false, 304, false },
	{ "If-Modified-Since: " AFTER "\r\n", false, 304, false },
	{ "If-Modified-Since: " BEFORE "\r\n", false, 0, false },
	{ "If-Modified-Since: yesterday\r\n", false, 0, false },
	{ "If-Match: " TAG "\r\n", false, 0, false },
	{ "If-Match: " TAG "\r\n", true, 412, false },
	{ "If-Match: \"x\"\r\n", false, 412, false },
	{ "If-Match: *\r\n", false, 0, false },
	{ "If-Unmodified-Since: " BEFORE "\r\n", false, 412, false },
	{ "If-Unmodified-Since: " THEN "\r\n", false, 0, false },
	{ "Range: bytes=0-\r\n", false, 0, true },
	{ "Range: bytes=0-\r\nIf-Range: " TAG "\r\n", false, 0, true },
	{ "Range: bytes=0-\r\nIf-Range: " TAG "\r\n", true, 0, false },
	{ "Range: bytes=0-\r\nIf-Range: W/" TAG "\r\n", false, 0, false },
	{ "Range: bytes=0-\r\nIf-Range: \"x\"\r\n", false, 0, false },
	{ "Range: bytes=0-\r\nIf-Range: " THEN "\r\n", false, 0, true },
	{ "Range: bytes=0-\r\nIf-Range: " AFTER "\r\n", false, 0, false },
	{ "Range: bytes=0-\r\nIf-None-Match: " TAG "\r\n", false, 304, false },
};

static void test_conditions(void)
{
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		struct validator v = { .weak = conditions[i].weak, .mtime = 784111777 };
		size_t scanned = 0;
		struct request r;
		char text[512];
		bool range;

		v.etag_len = (uint8_t)snprintf(v.etag, sizeof(v.etag), "%s" TAG,
					       v.weak ? "W/" : "");
		(void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n",
			       conditions[i].fields);
		need(request_parse(text, strlen(text), &scanned, &r) > 0 && !r.refuse, "a request");
		is_int(condition_judge(&r, &v, &range), conditions[i].status, "condition %zu: %.*s",
		       i, (int)strcspn(conditions[i].fields, "\r"), conditions[i].fields);
		is_int(range, conditions[i].range, "  range");
	}
}

static void test_validators(void)
{
	struct stat st = { .st_size = 5, .st_ino = 7, .st_mtim = { 100, 5 },
			   .st_ctim = { 100, 5 } };
	struct validator a, b;

	validator_of(&st, 200000000000, &a);
	ok(!a.weak && a.etag[0] == '"' && strlen(a.etag) == a.etag_len, "a strong tag: %s", a.etag);
	st.st_ctim.tv_nsec++;
	validator_of(&st, 200000000000, &b);
	ok(strcmp(a.etag, b.etag) != 0, "a nanosecond makes another");
	validator_of(&st, 101000000000, &b);
	ok(b.weak && strncmp(b.etag, "W/\"", 3) == 0, "one second after a change it is weak");
}

/* ------------------------------------------------------------- encodings */

static void test_encodings(void)
{
	static const struct {
		const char *field, *want;
	} rows[] = {
		{ "gzip", "gzip" },
		{ "gzip, zstd", "zstd gzip" },
		{ "GZIP;q=1, zstd;q=0.5", "gzip zstd" },
		{ "zstd;q=0", "" },
		{ "*", "zstd gzip" },
		{ "*;q=0, gzip", "gzip" },
		{ "br", "" },
		{ "identity;q=1, gzip;q=0.5", "" },
		{ "identity, gzip", "gzip" },
		{ "identity;q=0", "" },
		{ "x-gzip", "gzip" },
		{ "gzip;q=0.001", "gzip" },
		{ "gzip;q=x", "" },
		{ "", "" },
		{ ",,;q=", "" },
		{ "gzip ; q=0.8 ; x, zstd", "zstd gzip" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t v[ENCODINGS_N];
		unsigned n = encoding_wanted(SPAN(rows[i].field), v);
		char text[40] = "";

		for (unsigned k = 0; k < n; k++)
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				       k ? " " : "", encoding_names[v[k]]);
		is_str(text, rows[i].want, "'%s'", rows[i].field);
	}
}

static void test_mime(void)
{
	static const char table[] = "# comment\ntext/x-own html\n\nimage/x-own\tOWN own2 # x\n"
				    "notype bad\nevil/\x01 evil\ntext/plain; x=y two\r\n"
				    "application/x-r r\r\n";
	struct mime *m = mime_create();

	need(m, "memory");
	is_str(mime_of(m, "a.html"), "text/html; charset=utf-8", "a page");
	is_str(mime_of(m, "A.HTML"), "text/html; charset=utf-8", "in capitals");
	is_str(mime_of(m, "a.tar.gz"), "application/gzip", "the last end counts");
	is_str(mime_of(m, "none"), "application/octet-stream", "no end");
	is_str(mime_of(m, "a."), "application/octet-stream", "an empty one");
	is_str(mime_of(m, "a.averyveryverylongend"), "application/octet-stream", "a long one");
	is_int(mime_read(m, table, sizeof(table) - 1), 0, "a table is read");
	is_str(mime_of(m, "a.html"), "text/x-own; charset=utf-8", "  and comes before");
	is_str(mime_of(m, "a.own"), "image/x-own", "  in any case");
	is_str(mime_of(m, "a.own2"), "image/x-own", "  several ends");
	is_str(mime_of(m, "a.r"), "application/x-r", "  line ends of DOS");
	is_str(mime_of(m, "a.bad"), "application/octet-stream", "  what is no type is none");
	is_str(mime_of(m, "a.evil"), "application/octet-stream", "  nor what is not text");
	mime_destroy(m);
}

/* ----------------------------------------------------------------- heads */

static void test_heads(void)
{
	struct validator v = { .etag = "\"t\"", .etag_len = 3, .mtime = 784111777 };
	struct range one = { 5, 10 }, two[] = { { 0, 1 }, { 5, 7 } };
	struct head h = {
		.status = 206, .minor = 1, .keep_alive = true, .length = 5, .type = "a/b",
		.validator = &v, .range = &one, .range_of = 100, .ranges = true, .date = THEN,
	};
	char text[HEAD_BYTES_MAX], boundary[HEAD_BOUNDARY_BYTES];
	uint64_t sum = 0;
	size_t n = head_write(text, sizeof(text), &h);

	text[n] = '\0';
	ok(strstr(text, "HTTP/1.1 206 Partial Content\r\n") == text, "a head begins");
	ok(strstr(text, "\r\nContent-Range: bytes 5-9/100\r\n"), "  range");
	ok(strstr(text, "\r\nLast-Modified: " THEN "\r\nETag: \"t\"\r\n"), "  validators");
	ok(strstr(text, "Content-Length: 5\r\n") && !strstr(text, "Connection"), "  length");
	ok(strcmp(text + n - 4, "\r\n\r\n") == 0, "  and ends");
	for (size_t size = 0; size < n; size++)
		if (head_write(text, size, &h) != 0)
			bail("%zu bytes fit into %zu", n, size);
	ok(true, "  or does not fit");
	head_boundary(boundary, 1, 2);
	for (unsigned i = 0; i < 2; i++)
		sum += head_part(text, sizeof(text), boundary, "a/b", &two[i], 100) +
		       two[i].end - two[i].start;
	sum += head_parts_end(text, sizeof(text), boundary);
	is_int(head_parts_length("a/b", two, 2, 100), sum, "the length of several parts");
	h.status = 416;
	h.range = NULL;
	n = head_write(text, sizeof(text), &h);
	text[n] = '\0';
	ok(strstr(text, "\r\nContent-Range: bytes */100\r\n"), "416 tells the size");
	is_str(head_reason(299), "Unknown", "a status that we do not have");
}

static void test_log(void)
{
	struct log_entry e = {
		.address = "::1", .port = 5, .status = 404, .time_ns = 784111777500000000,
		.sent = 7, .took_ns = 1500000, .line = SPAN("GET /\"\n\\ HTTP/1.1"),
		.user_agent = SPAN("a\xff\x1b[31m"),
	};
	struct buf b = BUF_INIT;

	log_common(&b, &e);
	is_str(buf_str(&b), "::1 - - [06/Nov/1994:08:49:37 +0000] "
			    "\"GET /\\x22\\x0A\\x5C HTTP/1.1\" 404 7 \"-\" \"a\\xFF\\x1B[31m\"\n",
	       "a line stays one line");
	buf_clear(&b);
	log_json(&b, &e);
	ok(strstr(buf_str(&b), "\"time\":\"1994-11-06T08:49:37.500Z\"") &&
	   strstr(buf_str(&b), "\"status\":404") && strchr(buf_str(&b), '\n') == b.data + b.len - 1,
	   "as JSON: %s", buf_str(&b));
	buf_clear(&b);
	e.error = -EIO;
	e.error_at = 4096;
	log_common(&b, &e);
	ok(strstr(buf_str(&b), "31m\" \"byte 4096: Input/output error\"\n"), "why it was cut");
	buf_clear(&b);
	e.error = -ENODATA;
	log_json(&b, &e);
	ok(strstr(buf_str(&b), "\"error\":\"byte 4096: the file ended\""), "as JSON, too");
	buf_free(&b);
}

int main(void)
{
	test_ranges();
	test_conditions();
	test_validators();
	test_encodings();
	test_mime();
	test_heads();
	test_log();
	return done();
}
