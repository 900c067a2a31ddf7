/* SPDX-License-Identifier: MIT */
/*
 * What the descriptors of a supervised program are.  Not transfers: nothing is
 * read or written, and no descriptor is kept.
 */
#ifndef POLICY_ENDS_H
#define POLICY_ENDS_H

#include <stdint.h>
#include <sys/types.h>

#include "policy/decide.h"

/*
 * What descriptor fd of the thread behind pidfd is; KIND_BAD where it is not
 * open.  ret_ino: identity of a pipe, or 0; may be NULL.  ret_fd: our copy, the
 * caller's to close (-1: none); NULL: not wanted.
 * 0; or a negative errno where it could not be looked at, and KIND_BAD says
 * nothing.
 */
int end_look(int pidfd, int fd, struct policy_end *ret, uint64_t *ret_ino, int *ret_fd);

/*
 * Of a thread that stands: its kind and identity, all else is left out.  Nothing
 * is asked of a file system that is a program (FUSE), and nothing closed, which
 * would tell that: it may be one that waits for us itself.
 */
int end_peek(pid_t tid, int fd, struct policy_end *ret, uint64_t *ret_ino);

/*
 * Which pipe ends went through splice(), by what was seen: the kernel takes
 * RWF_NOWAIT from them and tells nobody.  Forgets the oldest of many.
 */
#define SPLICED_MAX 512
struct spliced {
	uint64_t key[SPLICED_MAX];
	uint32_t next;
};
void spliced_note(struct spliced *s, uint64_t ino, bool write_end);
bool spliced_seen(const struct spliced *s, uint64_t ino, bool write_end);

#endif
