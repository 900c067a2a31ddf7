/* SPDX-License-Identifier: MIT */
/*
 * Memory of this process as an end (mem:SIZE), and the pattern in it.
 * Not random data: any two decants compute the same bytes, so that a receiver
 * can check them without having seen them.
 *
 * Byte N of the pattern is byte N % 8, little endian, of the 64-bit number
 * mix(N / 8), where mix is the finaliser of splitmix64 on (N / 8 + 1) times
 * 0x9e3779b97f4a7c15.
 */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct memory {
	unsigned char *data; /* NULL: none */
	uint64_t len_bytes;
};

#define MEMORY_INIT { 0 }

/*
 * Anonymous memory, not touched yet.  untouched: nor will it ever be, so that
 * there may be less of it than len_bytes.  -ENOMEM.
 */
int memory_open(struct memory *m, uint64_t len_bytes, bool untouched);
void memory_close(struct memory *m);

/* Fill with the pattern from its byte `offset` on. */
void memory_fill(struct memory *m, uint64_t offset);

/* The first of len_bytes that is not the pattern's, or len_bytes. */
uint64_t memory_check(const unsigned char *data, uint64_t len_bytes, uint64_t offset);

#endif
