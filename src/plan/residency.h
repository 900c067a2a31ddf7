/* SPDX-License-Identifier: MIT */
/*
 * How much of a file is in the page cache, roughly.
 * Not a fact: it may change before the answer is used.
 */
#ifndef PLAN_RESIDENCY_H
#define PLAN_RESIDENCY_H

#include <stdint.h>

/*
 * Thousandths of [offset, offset + len) that would come from the disk; 0 where
 * that cannot be found out.  A few microseconds; not for small transfers.
 */
uint32_t residency_cold_permille(int fd, uint64_t offset, uint64_t len);

#endif
