/* SPDX-License-Identifier: MIT */
/*
 * Opens what a path names beneath the served directory: files, their compressed
 * forms, directories.  Not what is made of it: exchange.c.
 */
#ifndef SERVE_FIND_H
#define SERVE_FIND_H

#include <sys/stat.h>

#include "serve/encoding.h"
#include "serve/server.h"

struct found {
	int fd;              /* -1: none */
	struct name *name;   /* whose fd is; NULL: it is to be closed */
	struct stat st;
	uint8_t encoding;    /* enum encoding */
	uint32_t read;       /* so many bytes, all of it, are in the worker's scratch */
};

/*
 * 0, or the status that says why not: 403, 404, 500, 503 (no descriptors).
 * name: a path without slashes at its ends; "": the directory.
 */
int find_open(struct worker *w, const char *name, struct found *ret);
void find_close(struct found *f);
/*
 * A regular file that is open: its compressed form in its place, where the client
 * wishes one, there is one and it is not older.  name may be written behind
 * (PATH_BYTES_MAX).
 */
void find_compressed(struct worker *w, char *name, size_t len, struct span accepted,
		     struct found *f);
/*
 * The entries of an open directory that would be served, into l->v (the caller's:
 * dir_free).  0 or negative errno.
 */
struct listing;
int find_entries(struct worker *w, int dir_fd, struct listing *l);
void find_entries_free(struct listing *l);

#endif
