/* SPDX-License-Identifier: MIT */
/* base/btf: members are found in a small one made by hand, and a damaged one does no harm. */
#include <errno.h>
#include <linux/btf.h>
#include <stddef.h>

#include "base/btf.h"
#include "base/cleanup.h"
#include "tap.h"

static const char strings[] = "\0box\0inner\0deep\0bits\0fn";
enum { S_BOX = 1, S_INNER = 5, S_DEEP = 11, S_BITS = 16, S_FN = 21 };

struct file {
	struct btf_header h;
	struct btf_type number;          /* 1 */
	uint32_t number_info;
	struct btf_type box;             /* 2: { union { number inner; const 4 }; bits } */
	struct btf_member box_members[3];
	struct btf_type konst;           /* 3: const 4 */
	struct btf_type nameless;        /* 4: struct { number, deep at byte 4 } */
	struct btf_member nameless_members[1];
	struct btf_type function;        /* 5 */
	char strings[sizeof(strings)];
};

#define INFO(kind, n) ((uint32_t)(kind) << 24 | (n))

static void file_make(struct file *f)
{
	*f = (struct file){
		.h = { .magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(f->h),
		       .type_len = offsetof(struct file, strings) - sizeof(f->h),
		       .str_off = offsetof(struct file, strings) - sizeof(f->h),
		       .str_len = sizeof(strings) },
		.number = { 0, INFO(BTF_KIND_INT, 0), { 4 } }, .number_info = 32,
		.box = { S_BOX, INFO(BTF_KIND_STRUCT, 3), { 64 } },
		.box_members = { { S_INNER, 1, 32 }, { 0, 3, 128 }, { S_BITS, 1, 3 } },
		.konst = { 0, INFO(BTF_KIND_CONST, 0), { 4 } },
		.nameless = { 0, INFO(BTF_KIND_STRUCT, 1), { 8 } },
		.nameless_members = { { S_DEEP, 1, 32 } },
		.function = { S_FN, INFO(BTF_KIND_FUNC, 0), { 1 } },
	};
	memcpy(f->strings, strings, sizeof(strings));
}

static void test_types(void)
{
	struct btf b;
	struct file f;
	int64_t box;

	file_make(&f);
	is_int(btf_index(&b, &f, sizeof(f)), 0, "read");
	box = btf_find(&b, BTF_STRUCT, "box");
	is_int(box, 2, "a struct");
	is_int(btf_find(&b, BTF_FUNCTION, "fn"), 5, "a function");
	is_int(btf_find(&b, BTF_FUNCTION, "box"), -ENOENT, "of the right kind only");
	is_int(btf_member(&b, box, "inner"), 4, "a member");
	is_int(btf_member(&b, box, "deep"), 20, "a member of a nameless one, const");
	is_int(btf_member(&b, box, "bits"), -ENOENT, "not at a byte");
	is_int(btf_member(&b, box, "fn"), -ENOENT, "no member");
	is_int(btf_member(&b, 99, "inner"), -ENOENT, "no type");
	btf_free(&b);
	/* One that contains itself. */
	f.konst.type = 2;
	need(btf_index(&b, &f, sizeof(f)) == 0, "read");
	is_int(btf_member(&b, 2, "deep"), -ENOENT, "for ever in itself");
	btf_free(&b);
}

/* Cut at each byte, and each byte changed: never outside of it. */
static void test_damaged(void)
{
	static const unsigned char values[] = { 0, 1, 0x7f, 0x80, 0xff };
	struct file f;
	unsigned refused = 0;

	for (size_t i = 0; i < sizeof(f) * (1 + sizeof(values)); i++) {
		size_t at = i % sizeof(f), how = i / sizeof(f);
		size_t len = how ? sizeof(f) : at;
		_cleanup_free_ unsigned char *copy = malloc(len + !len);
		struct btf b;

		file_make(&f);
		if (how)
			((unsigned char *)&f)[at] = values[how - 1];
		memcpy(copy, &f, len);
		if (btf_index(&b, copy, len) < 0) {
			refused++;
			continue;
		}
		(void)btf_member(&b, btf_find(&b, BTF_STRUCT, "box"), "deep");
		btf_free(&b);
	}
	ok(refused > sizeof(f), "%u damaged ones are refused", refused);
}

int main(void)
{
	tap_case("type information", test_types);
	tap_case("damaged type information", test_damaged);
	return done();
}
