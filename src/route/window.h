/* SPDX-License-Identifier: MIT */
/*
 * A source that is memory, or is looked at as memory through a mapping, sent
 * with zerocopy.h: the steps of map-zc, map-msgzc, zc and msgzc.
 * Not a way to read a mapped file: its bytes are touched by the kernel only,
 * for where a file shrank the kernel says EFAULT, and we would get SIGBUS.
 */
#ifndef ROUTE_WINDOW_H
#define ROUTE_WINDOW_H

#include "route/zerocopy.h"

int window_start(struct job *j, enum zerocopy_how how);
int window_step(struct job *j);
void window_finish(struct job *j);
void window_drain(struct job *j);

/*
 * Bytes that the source file has from pos bytes of the transfer on, now; at
 * most max.  Asked before each send, for the rest of the file's last page is
 * mapped too and reads as zeros.  And asked again after it: a file that is cut
 * gets zeros in the page (or the large folio) that its new end is in, and so
 * does what is on its way.
 */
uint64_t window_left(const struct job *j, uint64_t pos, uint64_t max);
/*
 * Account for n bytes that a plain send or write just took from a mapping:
 * those that the file still has.  STEP_MORE, or -ENODATA where it has fewer.
 */
int window_took(struct job *j, uint64_t n);
/*
 * For routes that hand out the file's own pages: 0, or -ENODATA where it no
 * longer has all that was sent, for then what is on its way reads as zeros.
 */
int window_kept(struct job *j);
/* The file is too short; of what was sent only so much is certain.  -ENODATA. */
int window_shrank(struct job *j, uint64_t certain);

#endif
