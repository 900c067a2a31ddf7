/* SPDX-License-Identifier: MIT */
/*
 * A piece of somebody else's text, and what is asked of such pieces.
 * Not a string: it does not end with a 0 byte and owns nothing.
 */
#ifndef SERVE_SPAN_H
#define SERVE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *s;   /* NULL: there is none; "" is something else */
	size_t len;
};

#define SPAN(text) ((struct span){ (text), strlen(text) })

static inline bool span_is(struct span a, const char *text)
{
	return a.s && strlen(text) == a.len && memcmp(a.s, text, a.len) == 0;
}

/* Letters of ASCII in any case. */
static inline bool span_is_word(struct span a, const char *text)
{
	return a.s && strlen(text) == a.len && strncasecmp(a.s, text, a.len) == 0;
}

static inline struct span span_trim(struct span a)
{
	while (a.len && (a.s[0] == ' ' || a.s[0] == '\t')) {
		a.s++;
		a.len--;
	}
	while (a.len && (a.s[a.len - 1] == ' ' || a.s[a.len - 1] == '\t'))
		a.len--;
	return a;
}

/* Up to the next `at`, which is taken off *rest, too; false: nothing was left. */
static inline bool span_next(struct span *rest, char at, struct span *ret)
{
	const char *end;

	if (!rest->s)
		return false;
	end = memchr(rest->s, at, rest->len);
	ret->s = rest->s;
	ret->len = end ? (size_t)(end - rest->s) : rest->len;
	if (end) {
		rest->len -= ret->len + 1;
		rest->s = end + 1;
	} else {
		rest->s = NULL;
		rest->len = 0;
	}
	return true;
}

#endif
