/* SPDX-License-Identifier: MIT */
/* What the files of dir*.c share.  Not for others: dir.h is. */
#ifndef DUMP_DIR_PRIVATE_H
#define DUMP_DIR_PRIVATE_H

#include "base/list.h"
#include "dump/dir.h"
#include "dump/names.h"

/* Whoever may read an image may read all that the process knew. */
#define DIR_FILE_MODE 0600
#define DIR_MODE 0700

/* A file that we made, under its temporary name until the commit. */
struct dir_made {
	struct list link;
	char name[NAMES_MAX];
	bool renamed;
	uint32_t pages_id;       /* of a pagemap: goes with it; 0: none */
};

struct dir {
	int fd;
	char *path;              /* as given, for people */
	uint32_t flags;
	bool made;               /* the directory itself */
	bool linked;             /* the parent link */
	bool marked;             /* inventory.img.part is there, and ours */
	bool committed;
	uint32_t next_pages_id;
	struct buf inventory;    /* to be written as it is; empty: none */
	struct list files;       /* struct dir_made */
	struct list open;        /* struct dir_pages */
};

struct dir_pages {
	struct list link;
	struct dir *d;
	struct dir_made *file;
	int map_fd, pages_fd;
	uint32_t pages_id;
	struct criu_entry last;  /* not yet in text; nr_pages 0: none */
	uint64_t at;             /* where entries so far end */
	uint64_t bytes;          /* of pages */
	struct buf text;
	struct dir_count count;
	int error;
	struct err err;
};

/* A new file in d, under its temporary name; what is open for writing.  *ret is on d->files. */
int dir_create(struct dir *d, const char *name, struct dir_made **ret, struct err *reterr);
void dir_forget(struct dir_made *file);
struct dir_made *dir_find(struct dir *d, const char *name);
int dir_write(struct dir *d, int fd, const char *name, const void *data, size_t len,
	      struct err *reterr);
/* Frees without finishing. */
void dir_pages_drop(struct dir_pages *p);

/* dir_parent.c: the link. */
int dir_link(struct dir *d, const char *parent, struct err *reterr);
/* dir_clean.c: which pages-ID.img a pagemap names; negative errno. */
int dir_pages_of(struct dir *d, const char *name, uint32_t *ret);
/* What is there already; refuses it, or removes it. */
int dir_look(struct dir *d, struct err *reterr);

#endif
