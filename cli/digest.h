/* SPDX-License-Identifier: MIT */
/*
 * Checksums as text, in the manner of sha256sum and xxhsum.
 * Not the sums themselves: the library makes them.
 */
#ifndef CLI_DIGEST_H
#define CLI_DIGEST_H

#include <stdint.h>
#include <stdio.h>

#define DIGEST_TEXT_MAX 72

/* "xxh3", "sha256"; "none" for anything else. */
const char *digest_name(uint32_t checksum);
/* Hexadecimal; returns buf. */
const char *digest_text(uint32_t checksum, const uint8_t digest[32], char buf[DIGEST_TEXT_MAX]);
/* A line that `sha256sum -c` or `xxhsum -c` understands. */
void digest_print(FILE *f, uint32_t checksum, const uint8_t digest[32], const char *name);

#endif
