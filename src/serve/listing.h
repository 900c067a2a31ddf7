/* SPDX-License-Identifier: MIT */
/*
 * Pages of our own: the list of a directory, and what is said of an error.
 * Not reading directories: dir.h.  Pure.
 */
#ifndef SERVE_LISTING_H
#define SERVE_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "serve/span.h"

enum listing_order { ORDER_NAME, ORDER_SIZE, ORDER_TIME };

struct listing_entry {
	char *name;
	bool is_dir;
	uint64_t size;
	int64_t mtime;        /* seconds */
};

struct listing {
	const char *path;     /* beneath the served directory; "": itself */
	struct listing_entry *v;
	size_t n;
	uint64_t more;        /* that were there and are not in v */
	enum listing_order order;
	bool reverse;
};

/* What the query asks for: "sort=size", "sort=time&reverse", ... */
void listing_ask(struct span query, enum listing_order *ret_order, bool *ret_reverse);
/* Directories first; names as people count: file9 before file10. */
void listing_sort(struct listing *l);
int listing_compare_names(const char *a, const char *b);
/* The whole page, UTF-8. */
void listing_page(struct buf *b, const struct listing *l);
/* As text in HTML; bytes that are no UTF-8 become U+FFFD. */
void listing_escape(struct buf *b, const char *text, size_t len);
void listing_error_page(struct buf *b, unsigned status, const char *reason);

#endif
