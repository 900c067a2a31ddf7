/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

/* Length of the valid UTF-8 sequence at s, or 0.  RFC 3629, table of 3.9. */
static size_t json_utf8(const unsigned char *s, size_t len)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		n = 2;
	} else if (s[0] >= 0xe0 && s[0] <= 0xef) {
		n = 3;
		if (s[0] == 0xe0) /* overlong */
			low = 0xa0;
		if (s[0] == 0xed) /* surrogates */
			high = 0x9f;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		n = 4;
		if (s[0] == 0xf0) /* overlong */
			low = 0x90;
		if (s[0] == 0xf4) /* past U+10FFFF */
			high = 0x8f;
	} else {
		return 0;
	}
	if (len < n || s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

static void json_quote(struct json *j, const char *s, size_t len)
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	const unsigned char *p = (const unsigned char *)s, *end = p + len;
	const char *hit;
	size_t n;

	buf_putc(&j->buf, '"');
	for (; p < end; p += n) {
		n = json_utf8(p, (size_t)(end - p));
		if (n == 0) {
			buf_puts(&j->buf, "\xef\xbf\xbd"); /* U+FFFD */
			n = 1;
			continue;
		}
		for (hit = shorts; *hit && (unsigned char)*hit != *p; hit += 2)
			;
		if (*hit)
			buf_printf(&j->buf, "\\%c", hit[1]);
		else if (*p < 0x20 || *p == 0x7f)
			buf_printf(&j->buf, "\\u%04x", *p);
		else
			buf_append(&j->buf, p, n);
	}
	buf_putc(&j->buf, '"');
}

/* What separates a value from what is before it. */
static void json_separate(struct json *j)
{
	if (j->after_key) {
		j->after_key = false;
		return;
	}
	if (j->depth == 0)
		return;
	assert(!j->level[j->depth - 1].object); /* a value without a key */
	if (j->level[j->depth - 1].used)
		buf_putc(&j->buf, ',');
	j->level[j->depth - 1].used = true;
}

static void json_open(struct json *j, bool object)
{
	assert(j->depth < JSON_DEPTH_MAX);
	json_separate(j);
	buf_putc(&j->buf, object ? '{' : '[');
	j->level[j->depth].object = object;
	j->level[j->depth].used = false;
	j->depth++;
}

void json_free(struct json *j)
{
	buf_free(&j->buf);
	*j = (struct json)JSON_INIT;
}

void json_object(struct json *j)
{
	json_open(j, true);
}

void json_array(struct json *j)
{
	json_open(j, false);
}

void json_end(struct json *j)
{
	assert(j->depth > 0);
	assert(!j->after_key);
	j->depth--;
	buf_putc(&j->buf, j->level[j->depth].object ? '}' : ']');
}

void json_key(struct json *j, const char *key)
{
	assert(j->depth > 0);
	assert(j->level[j->depth - 1].object);
	assert(!j->after_key);
	if (j->level[j->depth - 1].used)
		buf_putc(&j->buf, ',');
	j->level[j->depth - 1].used = true;
	json_quote(j, key, strlen(key));
	buf_putc(&j->buf, ':');
	j->after_key = true;
}

void json_string_n(struct json *j, const char *s, size_t len_bytes)
{
	json_separate(j);
	json_quote(j, s, len_bytes);
}

void json_string(struct json *j, const char *s)
{
	if (s)
		json_string_n(j, s, strlen(s));
	else
		json_null(j);
}

void json_u64(struct json *j, uint64_t v)
{
	json_separate(j);
	buf_printf(&j->buf, "%" PRIu64, v);
}

void json_i64(struct json *j, int64_t v)
{
	json_separate(j);
	buf_printf(&j->buf, "%" PRId64, v);
}

void json_double(struct json *j, double v)
{
	char text[40], *comma;

	if (!isfinite(v)) {
		json_null(j);
		return;
	}
	(void)snprintf(text, sizeof(text), "%.9g", v);
	comma = strchr(text, ','); /* some locales */
	if (comma)
		*comma = '.';
	json_separate(j);
	buf_puts(&j->buf, text);
}

void json_bool(struct json *j, bool v)
{
	json_separate(j);
	buf_puts(&j->buf, v ? "true" : "false");
}

void json_null(struct json *j)
{
	json_separate(j);
	buf_puts(&j->buf, "null");
}

void json_member_string(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	json_string(j, s);
}

void json_member_u64(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_u64(j, v);
}

void json_member_i64(struct json *j, const char *key, int64_t v)
{
	json_key(j, key);
	json_i64(j, v);
}

void json_member_double(struct json *j, const char *key, double v)
{
	json_key(j, key);
	json_double(j, v);
}

void json_member_bool(struct json *j, const char *key, bool v)
{
	json_key(j, key);
	json_bool(j, v);
}
