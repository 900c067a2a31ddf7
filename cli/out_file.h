/* SPDX-License-Identifier: MIT */
/*
 * A regular file as a sink: complete or absent.
 * Not for devices and FIFOs, and not for writing into an existing file: those
 * are opened directly (end_open.c).
 *
 * The bytes go into a file that has no name yet (O_TMPFILE), or where the file
 * system has no such thing, one with a temporary name in the same directory.
 * It gets its name when it is complete; a crash leaves the first kind without
 * a trace.
 */
#ifndef CLI_OUT_FILE_H
#define CLI_OUT_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct out_file {
	int fd;        /* -1: not open */
	int dir_fd;
	char *name;    /* in dir_fd */
	char *temp;    /* the temporary name in dir_fd; NULL: nameless */
	char *path;    /* for sentences */
	bool replace;  /* a file of that name may be replaced */
	bool fresh;    /* which then hands nothing on: neither owner nor permissions */
};

#define OUT_FILE_INIT { .fd = -1, .dir_fd = -1 }

/*
 * Open a new file that out_file_commit() will call path.  With replace a file
 * that is there already is replaced then (a symbolic link is followed first);
 * without, -EEXIST.  nameless_only: -EOPNOTSUPP rather than a temporary name.
 * On error nothing is left.
 */
int out_file_open(struct out_file *f, const char *path, bool replace, bool nameless_only,
		  struct err *reterr);

/*
 * Name the file, with these permission bits.  inherit: rather with those of the
 * file that it replaces, if any.  sync: the name is durable, too, when this
 * returns.
 */
int out_file_commit(struct out_file *f, mode_t mode, bool inherit, bool sync,
		    struct err *reterr);

/*
 * Keep what has arrived as NAME.partial, replacing one that is there.  *ret is
 * that path, the caller's to free.
 */
int out_file_keep(struct out_file *f, mode_t mode, char **ret, struct err *reterr);

/* Forget the file if it was not committed or kept; from any state. */
void out_file_deinit(struct out_file *f);

/* The process's umask; not for programs with threads. */
mode_t out_file_umask(void);

#endif
