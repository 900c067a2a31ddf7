/* SPDX-License-Identifier: MIT */
#define XXH_STATIC_LINKING_ONLY /* XXH3_state_t as a member */
#include <errno.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "decant.h"

struct hash {
	uint32_t kind;
	union {
		XXH3_state_t xxh3; /* aligned to 64 */
		struct sha256_ctx sha256;
	};
};

int hash_create(struct hash **ret, uint32_t kind)
{
	struct hash *h;

	if (kind != DECANT_CHECKSUM_XXH3 && kind != DECANT_CHECKSUM_SHA256)
		return -EINVAL;
	h = alloc_aligned(_Alignof(struct hash), sizeof(*h));
	if (!h)
		return -ENOMEM;
	memset(h, 0, sizeof(*h));
	h->kind = kind;
	if (kind == DECANT_CHECKSUM_XXH3)
		XXH3_64bits_reset(&h->xxh3);
	else
		sha256_init(&h->sha256);
	*ret = h;
	return 0;
}

void hash_destroy(struct hash *h)
{
	free(h);
}

void hash_update(struct hash *h, const void *data, size_t len_bytes)
{
	if (len_bytes == 0)
		return;
	if (h->kind == DECANT_CHECKSUM_XXH3)
		XXH3_64bits_update(&h->xxh3, data, len_bytes);
	else
		sha256_update(&h->sha256, len_bytes, data);
}

void hash_digest(struct hash *h, uint8_t ret[32])
{
	XXH64_canonical_t canonical;

	memset(ret, 0, 32);
	if (h->kind == DECANT_CHECKSUM_XXH3) {
		XXH64_canonicalFromHash(&canonical, XXH3_64bits_digest(&h->xxh3));
		memcpy(ret, canonical.digest, sizeof(canonical.digest));
	} else {
		struct sha256_ctx copy = h->sha256; /* digest resets it; ours goes on */

		sha256_digest(&copy, SHA256_DIGEST_SIZE, ret);
	}
}
