/* SPDX-License-Identifier: MIT */
/* image/part: which mappings a core holds, as a table; see core(5). */
#include <string.h>

#include "image/core.h"
#include "tap.h"

#define K VMA_KNOWN
#define R VMA_READ
#define W VMA_WRITE
#define F VMA_FILE
#define S VMA_SHARED
#define A VMA_ANON

#define N CORE_NONE
#define P CORE_FIRST_PAGE
#define ALL CORE_WHOLE

/* One bit of the filter decides: the answer with all bits, with all but it, with it alone. */
static const struct row {
	const char *name;
	uint32_t flags;
	uint64_t offset;
	int bit;                 /* -1: none matters */
	enum core_part with, without;
	enum core_part of_all;   /* --all */
} rows[] = {
	{ "anonymous, written", K | R | W | A, 0, 0, ALL, N, ALL },
	{ "anonymous, may be written since", K | R | W, 0, 0, ALL, N, ALL },
	{ "anonymous, read only, never written", K | R, 0, -1, N, N, ALL },
	{ "anonymous, read only now, written before", K | R | A, 0, 0, ALL, N, ALL },
	{ "a reserve without access", K, 0, -1, N, N, N },
	{ "without access now, written before", K | A, 0, 0, ALL, N, ALL },
	{ "the stack", K | R | W | A | VMA_STACK, 0, 0, ALL, N, ALL },
	{ "shared, anonymous (/dev/zero, deleted)", K | R | W | S | F | VMA_DELETED, 0, 1, ALL, N,
	  ALL },
	{ "shared, without inode", K | R | W | S, 0, 1, ALL, N, ALL },
	{ "shared, a file", K | R | W | S | F, 0, 3, ALL, N, ALL },
	{ "shared, a file, read only", K | R | S | F, 0, 3, ALL, N, ALL },
	{ "a private file, written", K | R | W | F | A, 4096, 0, ALL, ALL, ALL },
	{ "text, from the middle", K | R | VMA_EXEC | F, 4096, 2, ALL, N, ALL },
	{ "text, the beginning", K | R | VMA_EXEC | F, 0, 2, ALL, P, ALL },
	{ "the beginning, not readable", K | F, 0, 2, ALL, N, N },
	{ "huge pages, private", K | R | W | VMA_HUGETLB | F | VMA_DELETED, 0, 5, ALL, N, ALL },
	{ "huge pages, shared", K | R | W | S | VMA_HUGETLB | F, 0, 6, ALL, N, ALL },
	{ "a device", K | R | W | S | F | VMA_IO, 0, -1, N, N, N },
	{ "DONTDUMP", K | R | W | A | VMA_DONTDUMP, 0, -1, N, N, ALL },
	{ "DONTDUMP, huge pages", K | R | W | VMA_HUGETLB | VMA_DONTDUMP, 0, -1, N, N, ALL },
	{ "[vdso]", K | R | VMA_EXEC | VMA_SPECIAL | VMA_IO | VMA_DONTDUMP, 0, -1, ALL, ALL, ALL },
	{ "[vvar]", K | R | VMA_SPECIAL | VMA_UNREADABLE, 0, -1, N, N, N },
	{ "unknown, anonymous", R, 0, 0, ALL, N, ALL },
	{ "unknown, no access", 0, 0, 0, ALL, N, ALL },
};

static void row_check(const struct row *r)
{
	struct vma v = { .start = 0x1000, .end = 0x3000, .flags = r->flags,
			 .file_offset = r->offset, .ino = r->flags & F ? 5 : 0 };
	uint32_t alone = r->bit < 0 ? 0 : 1u << r->bit;

	is_int(core_part(&v, 0x1ff, false), r->with, "%s: all bits", r->name);
	is_int(core_part(&v, 0x1ff & ~alone, false), r->without, "  without the one that counts");
	is_int(core_part(&v, alone, false), r->with, "  with that alone");
	is_int(core_part(&v, 0, true), r->of_all, "  --all");
}

/* More than one bit may count. */
static void test_private_file(void)
{
	struct vma v = { .start = 0x1000, .end = 0x3000, .flags = K | R | W | F | A, .ino = 5 };

	is_int(core_part(&v, 1 << 0, false), CORE_WHOLE, "a written file, by bit 0");
	is_int(core_part(&v, 1 << 2, false), CORE_WHOLE, "  by bit 2");
	is_int(core_part(&v, 1 << 4, false), CORE_FIRST_PAGE, "  its first page by bit 4");
	is_int(core_part(&v, 0x33 & ~0x11, false), CORE_NONE, "  else not");
	v.flags = R | F;
	is_int(core_part(&v, 0x33, false), CORE_WHOLE, "a file that smaps has not seen: whole");
	v.flags = K | R | F;
	is_int(core_part(&v, 0x33, false), CORE_FIRST_PAGE,
	       "a file by the default: its first page");
}

static void test_is_elf(void)
{
	static const char elf[] = "\177ELF\2\1\1";

	ok(core_is_elf(elf, sizeof(elf)), "an ELF header");
	ok(!core_is_elf(elf, 3), "too short for one");
	ok(!core_is_elf("#!/bin/sh\n", 10), "a script");
	ok(!core_is_elf("\177ELG", 4), "nearly one");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		row_check(&rows[i]);
	test_private_file();
	test_is_elf();
	return done();
}
