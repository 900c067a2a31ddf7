/* SPDX-License-Identifier: MIT */
/* A request from anybody: taken apart, decided on, logged.  Whatever it is, it stays in bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/condition.h"
#include "serve/date.h"
#include "serve/encoding.h"
#include "serve/listing.h"
#include "serve/log.h"
#include "serve/path.h"
#include "serve/range.h"
#include "serve/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parts(const struct request *r, const char *text, size_t len)
{
	for (unsigned i = 0; i < PARTS_N; i++)
		if (r->part[i].s && (r->part[i].s < text || r->part[i].len > len ||
				     r->part[i].s + r->part[i].len > text + len))
			abort();
}

static void check_ranges(struct span field, uint64_t size)
{
	struct range v[RANGES_MAX];
	unsigned n = 0;

	if (ranges_parse(field, size, v, &n) != RANGES_SOME)
		return;
	if (n == 0 || n > RANGES_MAX)
		abort();
	for (unsigned i = 0; i < n; i++) {
		if (v[i].start >= v[i].end || v[i].end > size)
			abort();
		for (unsigned k = 0; k < i; k++)
			if (v[k].start <= v[i].end && v[i].start <= v[k].end)
				abort();
	}
}

/* A path that was decoded says the same when it is written and read again. */
static void check_path(struct span target)
{
	struct buf b = BUF_INIT;
	struct path p, again;

	if (path_decode(target, &p) != 0)
		return;
	if (p.len >= PATH_BYTES_MAX || strlen(p.text) != p.len || p.text[0] == '/' ||
	    (p.len && p.text[p.len - 1] == '/') || strstr(p.text, "//"))
		abort();
	for (const char *s = p.text; s; s = strchr(s, '/')) {
		s += *s == '/';
		if (strncmp(s, "..", 2) == 0 && (s[2] == '/' || s[2] == '\0'))
			abort();
		if (s[0] == '.' && !p.hidden)
			abort();
	}
	buf_putc(&b, '/');
	path_encode(&b, p.text, p.len);
	if (b.error == 0 && (path_decode(SPAN(buf_str(&b)), &again) != 0 ||
			     strcmp(again.text, p.text) != 0))
		abort();
	buf_free(&b);
}

static void check_log(const struct request *r)
{
	struct log_entry e = {
		.address = "::1", .line = r->part[PART_LINE], .referer = r->part[PART_REFERER],
		.user_agent = r->part[PART_USER_AGENT],
	};
	struct buf b = BUF_INIT;

	log_common(&b, &e);
	if (b.error == 0 && strchr(b.data, '\n') != b.data + b.len - 1)
		abort();
	buf_clear(&b);
	log_json(&b, &e);
	if (b.error == 0 && strchr(b.data, '\n') != b.data + b.len - 1)
		abort();
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct validator v = { .etag = "\"a\"", .etag_len = 3, .mtime = 784111777 };
	uint8_t order[ENCODINGS_N];
	struct request r, pieces;
	size_t scanned = 0, again = 0, n = request_parse(text, size, &scanned, &r);
	enum listing_order by;
	bool range;

	if (n > size)
		abort();
	check_parts(&r, text, size);
	if (n == 0)
		return 0;
	/* In two pieces it is the same request. */
	if (size / 2 < n && request_parse(text, size / 2, &again, &pieces) == 0 &&
	    request_parse(text, size, &again, &pieces) != n)
		abort();
	check_log(&r);
	check_path(r.part[PART_TARGET]);
	check_ranges(r.part[PART_RANGE], 1000);
	check_ranges(r.part[PART_RANGE], UINT64_MAX);
	(void)condition_judge(&r, &v, &range);
	if (encoding_wanted(r.part[PART_ACCEPT_ENCODING], order) >= ENCODINGS_N)
		abort();
	listing_ask(r.part[PART_TARGET], &by, &range);
	return 0;
}
