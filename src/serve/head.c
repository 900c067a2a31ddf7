/* SPDX-License-Identifier: MIT */
#include "serve/head.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "serve/date.h"

/* Writes on; once it did not fit, nothing more is written. */
struct head_text {
	char *at, *end;
	bool full;
};

static void head_bytes(struct head_text *t, const char *s, size_t len)
{
	if (t->full || (size_t)(t->end - t->at) < len) {
		t->full = true;
		return;
	}
	memcpy(t->at, s, len);
	t->at += len;
}

#define head_const(t, text) head_bytes(t, text, sizeof(text) - 1)

static void head_string(struct head_text *t, const char *s)
{
	head_bytes(t, s, strlen(s));
}

static void head_number(struct head_text *t, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	head_bytes(t, digits + at, sizeof(digits) - at);
}

static void head_range(struct head_text *t, const struct range *range, uint64_t of)
{
	head_const(t, "Content-Range: bytes ");
	if (range) {
		head_number(t, range->start);
		head_const(t, "-");
		head_number(t, range->end - 1);
	} else {
		head_const(t, "*");
	}
	head_const(t, "/");
	head_number(t, of);
	head_const(t, "\r\n");
}

const char *head_reason(unsigned status)
{
	switch (status) {
	case 200: return "OK";
	case 204: return "No Content";
	case 206: return "Partial Content";
	case 301: return "Moved Permanently";
	case 302: return "Found";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 412: return "Precondition Failed";
	case 414: return "URI Too Long";
	case 416: return "Range Not Satisfiable";
	case 431: return "Request Header Fields Too Large";
	case 500: return "Internal Server Error";
	case 501: return "Not Implemented";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	default: return "Unknown";
	}
}

static void head_field(struct head_text *t, const char *name, const char *value)
{
	if (!value)
		return;
	head_string(t, name);
	head_const(t, ": ");
	head_string(t, value);
	head_const(t, "\r\n");
}

static void head_validator(struct head_text *t, const struct validator *v)
{
	char date[DATE_BYTES];

	if (!v)
		return;
	date_format(date, v->mtime);
	head_const(t, "Last-Modified: ");
	head_bytes(t, date, DATE_BYTES - 1);
	head_const(t, "\r\nETag: ");
	head_bytes(t, v->etag, v->etag_len);
	head_const(t, "\r\n");
}

size_t head_write(char *ret, size_t size, const struct head *h)
{
	struct head_text t = { ret, ret + size, false };

	head_const(&t, "HTTP/1.1 ");
	head_number(&t, h->status);
	head_const(&t, " ");
	head_string(&t, head_reason(h->status));
	head_const(&t, "\r\nServer: decant\r\nDate: ");
	head_bytes(&t, h->date, DATE_BYTES - 1);
	head_const(&t, "\r\n");
	head_field(&t, "Content-Type", h->type);
	if (h->boundary) {
		head_const(&t, "Content-Type: multipart/byteranges; boundary=");
		head_string(&t, h->boundary);
		head_const(&t, "\r\n");
	}
	head_field(&t, "Content-Encoding", h->encoding);
	if (h->length != UINT64_MAX) {
		head_const(&t, "Content-Length: ");
		head_number(&t, h->length);
		head_const(&t, "\r\n");
	}
	if (h->range || h->status == 416)
		head_range(&t, h->range, h->range_of);
	head_validator(&t, h->validator);
	if (h->ranges)
		head_const(&t, "Accept-Ranges: bytes\r\n");
	if (h->vary)
		head_const(&t, "Vary: Accept-Encoding\r\n");
	head_field(&t, "Location", h->location);
	if (h->status == 405 || h->status == 204)
		head_const(&t, "Allow: GET, HEAD, OPTIONS\r\n");
	if (h->status == 503)
		head_const(&t, "Retry-After: 1\r\n");
	if (h->inert)
		head_const(&t, "Content-Security-Policy: default-src 'none'; "
			       "style-src 'unsafe-inline'; img-src data:\r\n"
			       "Cache-Control: no-cache\r\n");
	head_const(&t, "X-Content-Type-Options: nosniff\r\n");
	if (!h->keep_alive)
		head_const(&t, "Connection: close\r\n\r\n");
	else if (h->minor == 0)
		head_const(&t, "Connection: keep-alive\r\n\r\n");
	else
		head_const(&t, "\r\n");
	return t.full ? 0 : (size_t)(t.at - ret);
}

void head_boundary(char ret[HEAD_BOUNDARY_BYTES], uint64_t a, uint64_t b)
{
	uint64_t h = a;

	for (unsigned i = 0; i < HEAD_BOUNDARY_BYTES - 1; i++) {
		h = (h ^ b) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 31;
		ret[i] = (char)('a' + (h >> 20) % 26);
	}
	ret[HEAD_BOUNDARY_BYTES - 1] = '\0';
}

size_t head_part(char *ret, size_t size, const char *boundary, const char *type,
		 const struct range *range, uint64_t of)
{
	struct head_text t = { ret, ret + size, false };

	head_const(&t, "\r\n--");
	head_bytes(&t, boundary, HEAD_BOUNDARY_BYTES - 1);
	head_const(&t, "\r\n");
	head_field(&t, "Content-Type", type);
	head_range(&t, range, of);
	head_const(&t, "\r\n");
	return t.full ? 0 : (size_t)(t.at - ret);
}

size_t head_parts_end(char *ret, size_t size, const char *boundary)
{
	struct head_text t = { ret, ret + size, false };

	head_const(&t, "\r\n--");
	head_bytes(&t, boundary, HEAD_BOUNDARY_BYTES - 1);
	head_const(&t, "--\r\n");
	return t.full ? 0 : (size_t)(t.at - ret);
}

uint64_t head_parts_length(const char *type, const struct range *v, unsigned n, uint64_t of)
{
	char text[HEAD_BYTES_MAX], boundary[HEAD_BOUNDARY_BYTES] = "";
	uint64_t sum = head_parts_end(text, sizeof(text), boundary);

	for (unsigned i = 0; i < n; i++)
		sum += head_part(text, sizeof(text), boundary, type, &v[i], of) + v[i].end -
		       v[i].start;
	return sum;
}
