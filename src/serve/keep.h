/* SPDX-License-Identifier: MIT */
/*
 * Mappings of files that are asked for again and again, for one thread.
 * Not a cache of contents: a shared mapping shows the file as it is now; and not
 * of names: whoever asks has just opened the file.
 */
#ifndef SERVE_KEEP_H
#define SERVE_KEEP_H

#include <stdbool.h>
#include <stdint.h>

struct keep;

int keep_create(struct keep **ret);
void keep_destroy(struct keep *k);
/* Its file system has no disk that could keep anybody waiting. */
bool keep_in_memory(struct keep *k, int fd, uint64_t dev);
/*
 * begins: this is the first of an answer.
 * [offset, offset + *len) of the file, *len made smaller at the end of a mapping.
 * NULL: read it.  Valid until keep_expire().  What lies beyond the file's end is
 * EFAULT to a system call, and would kill whoever touches it: do not.
 */
const void *keep_get(struct keep *k, int fd, uint64_t dev, uint64_t ino, uint64_t offset,
		     uint64_t size, uint64_t *len, bool begins, uint64_t now_ns);
/* Drops what was not asked for in a second.  When to come again; 0: nothing is kept. */
uint64_t keep_expire(struct keep *k, uint64_t now_ns);

#endif
