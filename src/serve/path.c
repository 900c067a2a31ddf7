/* SPDX-License-Identifier: MIT */
#include "serve/path.h"

#include <http_parser.h>
#include <stdint.h>

static int path_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The path of http://host/path; clients of proxies say it so. */
static bool path_of_absolute(struct span *target)
{
	struct http_parser_url url;

	http_parser_url_init(&url);
	if (target->len > UINT16_MAX || http_parser_parse_url(target->s, target->len, 0, &url) != 0)
		return false;
	if (!(url.field_set & (1u << UF_PATH))) {
		*target = (struct span){ "/", 1 };
		return true;
	}
	target->s += url.field_data[UF_PATH].off;
	target->len -= url.field_data[UF_PATH].off;
	return true;
}

/* One byte of a name; its length in the URL, or minus a status. */
static int path_byte(const char *s, size_t left, char *ret)
{
	int high, low;

	*ret = s[0];
	if (s[0] != '%')
		return s[0] == '\0' ? -400 : 1;
	if (left < 3 || (high = path_hex(s[1])) < 0 || (low = path_hex(s[2])) < 0)
		return -400;
	*ret = (char)(high << 4 | low);
	if (*ret == '\0')
		return -400;
	/* No name has one, so there is no such file. */
	return *ret == '/' ? -404 : 3;
}

/* One name, at the end of p; 0 or a status. */
static int path_put(struct path *p, struct span name)
{
	size_t from = p->len ? p->len + 1 : 0, at = from;
	char c;

	for (size_t i = 0; i < name.len;) {
		int n = path_byte(name.s + i, name.len - i, &c);

		if (n < 0)
			return -n;
		if (at >= PATH_BYTES_MAX - 1)
			return 414;
		p->text[at++] = c;
		p->plain = p->plain && n == 1;
		i += (size_t)n;
	}
	p->text[at] = '\0';
	if (strcmp(p->text + from, "..") == 0)
		return 400;
	if (at == from || strcmp(p->text + from, ".") == 0) {
		p->text[p->len] = '\0';
		p->plain = false;
		return 0;
	}
	if (p->text[from] == '.')
		p->hidden = true;
	if (from)
		p->text[from - 1] = '/';
	p->len = at;
	return 0;
}

int path_decode(struct span target, struct path *ret)
{
	struct span name;
	const char *end;
	int r;

	ret->len = 0;
	ret->text[0] = '\0';
	ret->slash = ret->hidden = false;
	ret->plain = true;
	ret->query = (struct span){ NULL, 0 };
	if (!target.s || target.len == 0)
		return 400;
	if (target.s[0] != '/' && !path_of_absolute(&target))
		return 400;
	end = memchr(target.s, '#', target.len);
	if (end)
		target.len = (size_t)(end - target.s);
	end = memchr(target.s, '?', target.len);
	if (end) {
		ret->query = (struct span){ end + 1, target.len - (size_t)(end + 1 - target.s) };
		target.len = (size_t)(end - target.s);
	}
	if (target.len == 0 || target.s[0] != '/')
		return 400;
	target.s++;
	target.len--;
	if (target.len == 0) {
		ret->slash = true;
		return 0;
	}
	while (span_next(&target, '/', &name)) {
		ret->slash = name.len == 0;
		if (name.len == 0 && !target.s)
			break;
		r = path_put(ret, name);
		if (r)
			return r;
	}
	if (ret->len == 0)
		ret->slash = true;
	return 0;
}

void path_encode(struct buf *b, const char *text, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || strchr("-._~/", c)) {
			buf_putc(b, (char)c);
			continue;
		}
		buf_putc(b, '%');
		buf_putc(b, digits[c >> 4]);
		buf_putc(b, digits[c & 15]);
	}
}

const char *path_name(const char *text)
{
	const char *slash = strrchr(text, '/');

	return slash ? slash + 1 : text;
}
