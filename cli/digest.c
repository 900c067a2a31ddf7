/* SPDX-License-Identifier: MIT */
#include "digest.h"

#include <string.h>

#include "decant.h"

const char *digest_name(uint32_t checksum)
{
	if (checksum == DECANT_CHECKSUM_XXH3)
		return "xxh3";
	return checksum == DECANT_CHECKSUM_SHA256 ? "sha256" : "none";
}

const char *digest_text(uint32_t checksum, const uint8_t digest[32], char buf[DIGEST_TEXT_MAX])
{
	size_t n = checksum == DECANT_CHECKSUM_SHA256 ? 32 :
		   checksum == DECANT_CHECKSUM_XXH3 ? 8 : 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++)
		(void)snprintf(buf + 2 * i, 3, "%02x", digest[i]);
	return buf;
}

/* sha256sum's way with odd names: a backslash in front says that some follow. */
static void digest_escaped(FILE *f, const char *name)
{
	for (; *name; name++) {
		if (*name == '\n')
			(void)fputs("\\n", f);
		else if (*name == '\r')
			(void)fputs("\\r", f);
		else if (*name == '\\')
			(void)fputs("\\\\", f);
		else
			(void)fputc(*name, f);
	}
}

void digest_print(FILE *f, uint32_t checksum, const uint8_t digest[32], const char *name)
{
	char hex[DIGEST_TEXT_MAX];

	(void)digest_text(checksum, digest, hex);
	/* xxhsum leaves names as they are. */
	if (checksum == DECANT_CHECKSUM_XXH3) {
		(void)fprintf(f, "XXH3 (%s) = %s\n", name, hex);
		return;
	}
	(void)fprintf(f, "%s%s  ", strpbrk(name, "\\\n\r") ? "\\" : "", hex);
	digest_escaped(f, name);
	(void)fputc('\n', f);
}
