/* SPDX-License-Identifier: MIT */
/*
 * Open files by their names, for as long as it is certain that an open() would
 * find the same file.  Not for a while and not on trust: each directory on the
 * way is watched (inotify), and so are the mounts; what happened before a
 * request was read from its socket is known when it is answered.
 *
 * A change of a name makes an event before rename() and its like return; so
 * names_check() after the recv() of a request sees every change whose author
 * can have told the client.  Only local file systems tell of all changes, and
 * only a way without links and within one mount is as simple as that: all else
 * is opened each time.
 */
#ifndef SERVE_NAMES_H
#define SERVE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define NAMES_READ_BYTES 65536u

struct names;

/* A file that is kept open, or known to be missing.  Valid until names_release(). */
struct name {
	int fd;                    /* -1: there is no such file, and that is certain, too */
	unsigned users;            /* the table is one of them */
	bool small;
	struct timespec ctime;     /* when it was opened; another one: open it again */
	char path[];
};

/* entries: at most so many; NULL in *ret where this cannot be known here. */
int names_create(struct names **ret, int dir_fd, unsigned entries);
void names_destroy(struct names *n);
/* Something may have changed: forget what was known, if it has.  n may be NULL. */
void names_check(struct names *n, uint64_t now_ns);
/*
 * A file of that path, and *ret_st as it is now; NULL: open it yourself.
 * *ret_read: a small one is read, into buf (NAMES_READ_BYTES; NULL: it is not), before it is
 * looked at: as many bytes as its size says, or 0.
 */
struct name *names_get(struct names *n, const char *path, struct stat *ret_st, uint64_t now_ns,
		       void *buf, uint32_t *ret_read);
void names_release(struct name *name);
/* Descriptors are needed elsewhere. */
void names_drop(struct names *n);
/* How many files are open. */
unsigned names_count(const struct names *n);

#endif
