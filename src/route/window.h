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

/*
 * Bytes that the source file has from pos bytes of the transfer on, now; at
 * most max.  The rest of its last page is mapped too, and reads as zeros, so
 * that this must be asked before each send.
 */
uint64_t window_left(const struct job *j, uint64_t pos, uint64_t max);

/*
 * And after it: 0, or -ENODATA with its sentence when the file now ends before
 * end bytes of the transfer.  A file that is cut gets zeros in the page (or
 * the large folio) that its new end is in, and what is on its way with it.
 */
int window_check(struct job *j, uint64_t end);

#endif
