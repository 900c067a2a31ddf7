/* SPDX-License-Identifier: MIT */
/*
 * The allocations of base/ itself, which must not call up into sys/.
 * Not for others: they use sys_malloc() and its like.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>

/* All of them: NULL on failure; freed with free(). */
void *alloc_bytes(size_t len_bytes);
void *alloc_again(void *p, size_t len_bytes);
void *alloc_aligned(size_t align, size_t len_bytes);

/*
 * With DECANT_FAULTS: asked before each of them with its libc name; not 0
 * makes it fail.  Set by sys/fault.c when a fault is armed.
 */
void alloc_set_gate(int (*gate)(const char *name));

#endif
