/* SPDX-License-Identifier: MIT */
#include "lib/pattern.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kit.h"

#define PATTERN_BITS 48
#define PATTERN_MASK ((UINT64_C(1) << PATTERN_BITS) - 1)
#define PATTERN_MUL UINT64_C(0x9e3779b97f4b) /* odd: a bijection */
#define PATTERN_PIECE (UINT64_C(1) << 20)

static uint64_t pattern_mix(uint64_t index)
{
	uint64_t x = index & PATTERN_MASK;

	x = x * PATTERN_MUL & PATTERN_MASK;
	x ^= x >> 24;
	return x * PATTERN_MUL & PATTERN_MASK;
}

/* Newton: each step doubles the bits that are right. */
static uint64_t pattern_inverse(void)
{
	uint64_t inv = PATTERN_MUL;

	for (int i = 0; i < 6; i++)
		inv *= 2 - PATTERN_MUL * inv;
	return inv;
}

static uint64_t pattern_unmix(uint64_t x)
{
	uint64_t inv = pattern_inverse();

	x = x * inv & PATTERN_MASK;
	x ^= x >> 24;
	return x * inv & PATTERN_MASK;
}

static uint64_t pattern_word(uint64_t index, unsigned gen)
{
	uint64_t x = pattern_mix(index);

	/* 48 bits -> 2 x 24 -> 4 x 12 -> 8 x 6 */
	x = (x & 0xffffff) | (x >> 24) << 32;
	x = (x & UINT64_C(0x00000fff00000fff)) | (x & UINT64_C(0x00fff00000fff000)) << 4;
	x = (x & UINT64_C(0x003f003f003f003f)) | (x & UINT64_C(0x0fc00fc00fc00fc0)) << 2;
	return htole64(x | UINT64_C(0x4040404040404040) * gen);
}

static uint64_t pattern_origin(uint64_t word)
{
	uint64_t x = le64toh(word) & UINT64_C(0x3f3f3f3f3f3f3f3f);

	x = (x & UINT64_C(0x003f003f003f003f)) | (x & UINT64_C(0x3f003f003f003f00)) >> 2;
	x = (x & UINT64_C(0x00000fff00000fff)) | (x & UINT64_C(0x0fff00000fff0000)) >> 4;
	x = (x & 0xffffff) | (x >> 32) << 24;
	return pattern_unmix(x) * 8;
}

void pattern_fill(void *data, uint64_t len, uint64_t offset, unsigned gen)
{
	unsigned char *p = data;

	while (len) {
		uint64_t word = pattern_word(offset / 8, gen);
		uint64_t skip = offset % 8, n = 8 - skip < len ? 8 - skip : len;

		memcpy(p, (unsigned char *)&word + skip, n);
		p += n, offset += n, len -= n;
	}
}

static void pattern_judge(struct pattern_report *r, uint8_t byte, uint64_t offset, unsigned gen)
{
	if (pattern_clean(r)) {
		r->first_bad = offset;
		r->bad_byte = byte;
		r->bad_origin = UINT64_MAX;
	}
	r->gens[byte >> 6]++;
	if (byte == 0)
		r->zero++;
	else if (byte >> 6 == 0)
		r->foreign++;
	else if (byte >> 6 == (int)gen)
		r->misplaced++;
	else
		r->other++;
}

void pattern_check(struct pattern_report *r, const void *data, uint64_t len, uint64_t offset,
		   unsigned gen)
{
	const unsigned char *p = data;

	while (len) {
		uint64_t want = pattern_word(offset / 8, gen), got = 0;
		uint64_t skip = offset % 8, n = 8 - skip < len ? 8 - skip : len;
		bool first = pattern_clean(r);

		memcpy((unsigned char *)&got + skip, p, n);
		if (n == 8 && got == want) {
			r->right += 8;
		} else {
			for (uint64_t i = skip; i < skip + n; i++)
				if (((unsigned char *)&got)[i] == ((unsigned char *)&want)[i])
					r->right++;
				else
					pattern_judge(r, ((unsigned char *)&got)[i],
						      offset - skip + i, gen);
			if (first && !pattern_clean(r) && n == 8)
				r->bad_origin = pattern_origin(got);
		}
		p += n, offset += n, len -= n;
	}
}

uint64_t pattern_wrong(const struct pattern_report *r)
{
	return r->other + r->zero + r->misplaced + r->foreign;
}

bool pattern_clean(const struct pattern_report *r)
{
	return pattern_wrong(r) == 0;
}

const char *pattern_text(const struct pattern_report *r)
{
	static __thread char text[256];

	if (pattern_clean(r))
		snprintf(text, sizeof(text), "all %llu bytes right", (unsigned long long)r->right);
	else
		snprintf(text, sizeof(text),
			 "right %llu, new %llu, zero %llu, misplaced %llu, foreign %llu; "
			 "first wrong 0x%02x at %llu, its word says offset %lld",
			 (unsigned long long)r->right, (unsigned long long)r->other,
			 (unsigned long long)r->zero, (unsigned long long)r->misplaced,
			 (unsigned long long)r->foreign, r->bad_byte,
			 (unsigned long long)r->first_bad, (long long)r->bad_origin);
	return text;
}

void pattern_write(int fd, uint64_t offset, uint64_t len, unsigned gen)
{
	uint64_t piece = len < PATTERN_PIECE ? len : PATTERN_PIECE;
	unsigned char *data = malloc(piece ? piece : 1);

	for (uint64_t done = 0; done < len;) {
		uint64_t n = len - done < piece ? len - done : piece;

		pattern_fill(data, n, offset + done, gen);
		kit_write_all(fd, data, n, (int64_t)(offset + done));
		done += n;
	}
	free(data);
}

uint64_t pattern_check_file(struct pattern_report *r, int fd, uint64_t file_offset, uint64_t len,
			    uint64_t offset, unsigned gen)
{
	unsigned char *data = malloc(PATTERN_PIECE);
	uint64_t done = 0;

	while (done < len) {
		uint64_t want = len - done < PATTERN_PIECE ? len - done : PATTERN_PIECE;
		uint64_t n = kit_read_all(fd, data, want, (int64_t)(file_offset + done));

		pattern_check(r, data, n, offset + done, gen);
		done += n;
		if (n < want)
			break;
	}
	free(data);
	return done;
}
