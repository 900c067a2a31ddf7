/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"

static _Atomic(int (*)(const char *)) alloc_gate;

void alloc_set_gate(int (*gate)(const char *name))
{
	atomic_store(&alloc_gate, gate);
}

static int alloc_refused(const char *name)
{
	int (*gate)(const char *) = atomic_load_explicit(&alloc_gate, memory_order_relaxed);

	return gate && gate(name);
}

void *alloc_bytes(size_t len_bytes)
{
	return alloc_refused("malloc") ? NULL : malloc(len_bytes ? len_bytes : 1);
}

void *alloc_again(void *p, size_t len_bytes)
{
	return alloc_refused("realloc") ? NULL : realloc(p, len_bytes ? len_bytes : 1);
}

void *alloc_aligned(size_t align, size_t len_bytes)
{
	size_t len = (len_bytes + align - 1) / align * align; /* as ISO C wants it */

	if (len < len_bytes || alloc_refused("aligned_alloc"))
		return NULL;
	return aligned_alloc(align, len ? len : align);
}
