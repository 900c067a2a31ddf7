/* SPDX-License-Identifier: MIT */
/*
 * Data that carry their own offset and generation, so that every single byte
 * which arrives tells whether it is old, new, or of neither.
 * Not random data: two ends compute the same bytes without talking.
 *
 *	byte   76 543210
 *	       |  +------ 6 of the 48 bits of mix(offset / 8)
 *	       +--------- generation: 1, 2 or 3; 0 is never written (holes, padding)
 */
#ifndef LIB_PATTERN_H
#define LIB_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_OLD 1
#define PATTERN_NEW 2

/* What was found in checked bytes; add up over several calls. */
struct pattern_report {
	uint64_t right;      /* the generation and the offset that were expected */
	uint64_t other;      /* another generation */
	uint64_t zero;       /* zero bytes: padding, holes */
	uint64_t misplaced;  /* right generation, wrong offset */
	uint64_t foreign;    /* none of these */
	uint64_t gens[4];    /* of those that are not right: by their generation's bits */
	uint64_t first_bad;  /* offset of the first that is not right */
	uint64_t bad_origin; /* the offset that its word claims, or UINT64_MAX */
	uint8_t bad_byte;
};

void pattern_fill(void *data, uint64_t len, uint64_t offset, unsigned gen);
void pattern_check(struct pattern_report *r, const void *data, uint64_t len, uint64_t offset,
		   unsigned gen);
bool pattern_clean(const struct pattern_report *r);
uint64_t pattern_wrong(const struct pattern_report *r);
/* A sentence in a static buffer. */
const char *pattern_text(const struct pattern_report *r);

/* The file's bytes [offset, offset + len) become the pattern. */
void pattern_write(int fd, uint64_t offset, uint64_t len, unsigned gen);
/* Check the file's bytes; those that are missing are not counted as anything. */
uint64_t pattern_check_file(struct pattern_report *r, int fd, uint64_t file_offset, uint64_t len,
			    uint64_t offset, unsigned gen);

#endif
