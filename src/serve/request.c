/* SPDX-License-Identifier: MIT */
#include "serve/request.h"

#include <http_parser.h>

/* Header fields that are kept, by their lengths first. */
static const struct {
	const char *name;
	uint8_t len, part;
} request_fields[] = {
	{ "host", 4, PART_HOST },
	{ "range", 5, PART_RANGE },
	{ "if-range", 8, PART_IF_RANGE },
	{ "if-match", 8, PART_IF_MATCH },
	{ "if-none-match", 13, PART_IF_NONE_MATCH },
	{ "if-modified-since", 17, PART_IF_MODIFIED_SINCE },
	{ "if-unmodified-since", 19, PART_IF_UNMODIFIED_SINCE },
	{ "accept-encoding", 15, PART_ACCEPT_ENCODING },
	{ "user-agent", 10, PART_USER_AGENT },
	{ "referer", 7, PART_REFERER },
};

#define REQUEST_FIELDS_N (sizeof(request_fields) / sizeof(request_fields[0]))

struct request_parser {
	http_parser parser;
	struct request *r;
	int field;          /* of request_fields; -1: another */
	unsigned hosts;
	bool done;
	struct span name;
};

static int request_on_url(http_parser *p, const char *at, size_t len)
{
	struct request *r = ((struct request_parser *)p->data)->r;

	/* One buffer: a second piece follows the first. */
	if (!r->part[PART_TARGET].s)
		r->part[PART_TARGET].s = at;
	r->part[PART_TARGET].len = (size_t)(at + len - r->part[PART_TARGET].s);
	return 0;
}

static int request_on_field(http_parser *p, const char *at, size_t len)
{
	struct request_parser *rp = p->data;

	rp->field = -1;
	/* RFC 9112, 5.1; the parser lets it pass. */
	if (memchr(at, ' ', len) || memchr(at, '\t', len))
		return -1;
	for (unsigned i = 0; i < REQUEST_FIELDS_N; i++)
		if (request_fields[i].len == len &&
		    strncasecmp(request_fields[i].name, at, len) == 0)
			rp->field = (int)i;
	if (rp->field >= 0 && request_fields[rp->field].part == PART_HOST)
		rp->hosts++;
	return 0;
}

static int request_on_value(http_parser *p, const char *at, size_t len)
{
	struct request_parser *rp = p->data;
	struct span *part;

	if (rp->field < 0)
		return 0;
	part = &rp->r->part[request_fields[rp->field].part];
	/* The first of several counts; lists of validators are not split by those who mean it. */
	if (!part->s) {
		part->s = at;
		part->len = len;
	} else if (at == part->s + part->len) {
		part->len += len;
	}
	return 0;
}

/* 2: no body follows, as far as the parser is to know; it stops here. */
static int request_on_head(http_parser *p)
{
	struct request_parser *rp = p->data;
	struct request *r = rp->r;

	rp->done = true;
	r->keep_alive = http_should_keep_alive(p) != 0;
	r->has_body = (p->flags & F_CHUNKED) || p->uses_transfer_encoding ||
		      ((p->flags & F_CONTENTLENGTH) && p->content_length > 0);
	r->minor = (uint8_t)p->http_minor;
	return 2;
}

static const http_parser_settings request_settings = {
	.on_url = request_on_url,
	.on_header_field = request_on_field,
	.on_header_value = request_on_value,
	.on_headers_complete = request_on_head,
};

/* Where the empty line ends that ends a head; 0: not there. */
static size_t request_end(const char *data, size_t len, size_t from)
{
	const char *at = data + from, *end = data + len;

	while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		at++;
		if (at < end && *at == '\n')
			return (size_t)(at + 1 - data);
		if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
			return (size_t)(at + 2 - data);
	}
	return 0;
}

static uint16_t request_judge(const struct request_parser *rp)
{
	const http_parser *p = &rp->parser;
	enum http_errno e = HTTP_PARSER_ERRNO(p);

	if (e == HPE_INVALID_VERSION)
		return 505;
	if (e == HPE_HEADER_OVERFLOW)
		return 431;
	if (e != HPE_OK || !rp->done)
		return 400;
	if (p->http_major != 1)
		return 505;
	/* RFC 9112, 3.2: exactly one Host, of HTTP/1.1 on. */
	if (rp->hosts > 1 || (rp->hosts == 0 && p->http_minor > 0))
		return 400;
	if (rp->r->part[PART_TARGET].len > REQUEST_LINE_MAX)
		return 414;
	return 0;
}

static void request_line(struct request *r, const char *head, size_t len)
{
	const char *end = memchr(head, '\n', len);

	r->part[PART_LINE].s = head;
	r->part[PART_LINE].len = end ? (size_t)(end - head) : len;
	if (r->part[PART_LINE].len && head[r->part[PART_LINE].len - 1] == '\r')
		r->part[PART_LINE].len--;
}

static size_t request_too_long(const char *data, size_t skip, size_t len, struct request *ret)
{
	request_line(ret, data + skip, len - skip);
	ret->refuse = ret->part[PART_LINE].len > REQUEST_LINE_MAX ? 414 : 431;
	ret->keep_alive = false;
	return len;
}

size_t request_parse(const char *data, size_t len, size_t *scanned, struct request *ret)
{
	struct request_parser rp = { .r = ret, .field = -1 };
	size_t skip = 0, end;

	*ret = (struct request){ .method = METHOD_OTHER };
	/* RFC 9112, 2.2: empty lines before a request are nothing. */
	while (skip < len && (data[skip] == '\r' || data[skip] == '\n'))
		skip++;
	if (skip > REQUEST_HEAD_MAX)
		return request_too_long(data, 0, len, ret);
	end = request_end(data, len, *scanned > skip ? *scanned : skip);
	if (end == 0) {
		/* The last three bytes may be the beginning of the end. */
		*scanned = len > 3 ? len - 3 : 0;
		return len - skip >= REQUEST_HEAD_MAX ? request_too_long(data, skip, len, ret) : 0;
	}
	*scanned = 0;
	if (end - skip > REQUEST_HEAD_MAX)
		return request_too_long(data, skip, end, ret);
	http_parser_init(&rp.parser, HTTP_REQUEST);
	rp.parser.data = &rp;
	(void)http_parser_execute(&rp.parser, &request_settings, data + skip, end - skip);
	request_line(ret, data + skip, end - skip);
	ret->refuse = request_judge(&rp);
	if (ret->refuse || ret->has_body)
		ret->keep_alive = false;
	if (rp.parser.method == HTTP_GET)
		ret->method = METHOD_GET;
	else if (rp.parser.method == HTTP_HEAD)
		ret->method = METHOD_HEAD;
	else if (rp.parser.method == HTTP_OPTIONS)
		ret->method = METHOD_OPTIONS;
	return end;
}

void request_move(struct request *r, const char *from, const char *to)
{
	for (unsigned i = 0; i < PARTS_N; i++)
		if (r->part[i].s)
			r->part[i].s = to + (r->part[i].s - from);
}
