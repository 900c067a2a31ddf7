/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "base/le.h"

static uint64_t memory_word(uint64_t n)
{
	uint64_t z = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int memory_open(struct memory *m, uint64_t len_bytes, bool untouched)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (untouched ? MAP_NORESERVE : 0);
	void *p;

	if (len_bytes == 0 || len_bytes > SIZE_MAX / 2)
		return len_bytes ? -ENOMEM : -EINVAL;
	p = mmap(NULL, (size_t)len_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	m->data = p;
	m->len_bytes = len_bytes;
	return 0;
}

void memory_close(struct memory *m)
{
	if (m->data)
		(void)munmap(m->data, (size_t)m->len_bytes);
	*m = (struct memory)MEMORY_INIT;
}

/* The pattern's next bytes, at most to the end of its word; returns how many. */
static size_t memory_piece(unsigned char piece[8], uint64_t offset, uint64_t left)
{
	unsigned char word[8];
	size_t skip = offset % 8, n = 8 - skip;

	le64_store(word, memory_word(offset / 8));
	if (n > left)
		n = (size_t)left;
	memcpy(piece, word + skip, n);
	return n;
}

void memory_fill(struct memory *m, uint64_t offset)
{
	unsigned char piece[8];
	size_t n;

	for (uint64_t i = 0; i < m->len_bytes; i += n) {
		n = memory_piece(piece, offset + i, m->len_bytes - i);
		memcpy(m->data + i, piece, n);
	}
}

uint64_t memory_check(const unsigned char *data, uint64_t len_bytes, uint64_t offset)
{
	unsigned char piece[8];
	size_t n;

	for (uint64_t i = 0; i < len_bytes; i += n) {
		n = memory_piece(piece, offset + i, len_bytes - i);
		if (memcmp(data + i, piece, n) == 0)
			continue;
		for (size_t k = 0; k < n; k++)
			if (data[i + k] != piece[k])
				return i + k;
	}
	return len_bytes;
}
