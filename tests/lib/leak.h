/* SPDX-License-Identifier: MIT */
/*
 * What this process holds, before and after: descriptors, threads, pinned and
 * locked pages, mappings of files.
 * Not memory: that is the sanitizers' and valgrind's work.
 */
#ifndef LIB_LEAK_H
#define LIB_LEAK_H

#include <stdbool.h>
#include <stdint.h>

#define LEAK_FDS_MAX 16384

struct leak {
	unsigned fds, pipes, threads;
	uint64_t pinned_kb, locked_kb;
	unsigned file_maps;      /* shared mappings of regular files */
	unsigned char open[LEAK_FDS_MAX / 8];
};

void leak_take(struct leak *ret);
/*
 * Compare with now; threads and pins may take a moment to go, so wait for at
 * most wait_ms.  NULL: nothing more than before; else a sentence (static).
 */
const char *leak_since(const struct leak *before, unsigned wait_ms);

#endif
