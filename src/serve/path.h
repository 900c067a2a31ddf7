/* SPDX-License-Identifier: MIT */
/*
 * From the target of a request to a path beneath the served directory, and
 * back.  Not a guard: openat2() is; but what cannot be a path ends here.  Pure.
 */
#ifndef SERVE_PATH_H
#define SERVE_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "serve/span.h"

#define PATH_BYTES_MAX 4096

struct path {
	char text[PATH_BYTES_MAX]; /* without a slash at either end; "": the directory itself */
	size_t len;
	bool slash;          /* a slash was at the end */
	bool hidden;         /* a name in it begins with a dot */
	bool plain;          /* the target was this path, letter by letter */
	struct span query;   /* behind the first '?', as it stands */
};

/*
 * 0, or the status of the refusal: 400 (bad escapes, a 0 byte, ".."), 404 (an
 * escaped slash), 414.  Empty names and "." are left out.
 */
int path_decode(struct span target, struct path *ret);
/* As it stands in a URL: everything but unreserved characters and slashes escaped. */
void path_encode(struct buf *b, const char *text, size_t len);
/* The last name. */
const char *path_name(const char *text);

#endif
