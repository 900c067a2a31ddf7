/* SPDX-License-Identifier: MIT */
/*
 * Running checksum of the bytes that were moved, in their order.
 * Not a file hasher: it never reads anything itself.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash;

/* kind: enum decant_checksum, not NONE.  0, -EINVAL or -ENOMEM. */
int hash_create(struct hash **ret, uint32_t kind);
void hash_destroy(struct hash *h);
void hash_update(struct hash *h, const void *data, size_t len_bytes);
/* XXH3: 8 bytes, big endian (as xxhsum prints it); SHA-256: 32. */
void hash_digest(struct hash *h, uint8_t ret[32]);

#endif
