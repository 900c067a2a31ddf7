/* SPDX-License-Identifier: MIT */
#include "base/btf.h"

#include <errno.h>
#include <limits.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define BTF_DEPTH 32             /* of unnamed members and qualifiers */
#define BTF_STEPS 65536          /* types looked at for one member */
#define BTF_FIRST 4096

/* What follows the head of a type: fixed bytes and bytes for each of vlen; -1: unknown. */
static const struct {
	int8_t fixed, each;
} btf_shapes[] = {
	[BTF_KIND_UNKN] = { -1, 0 },
	[BTF_KIND_INT] = { 4, 0 },
	[BTF_KIND_PTR] = { 0, 0 },
	[BTF_KIND_ARRAY] = { sizeof(struct btf_array), 0 },
	[BTF_KIND_STRUCT] = { 0, sizeof(struct btf_member) },
	[BTF_KIND_UNION] = { 0, sizeof(struct btf_member) },
	[BTF_KIND_ENUM] = { 0, sizeof(struct btf_enum) },
	[BTF_KIND_FWD] = { 0, 0 },
	[BTF_KIND_TYPEDEF] = { 0, 0 },
	[BTF_KIND_VOLATILE] = { 0, 0 },
	[BTF_KIND_CONST] = { 0, 0 },
	[BTF_KIND_RESTRICT] = { 0, 0 },
	[BTF_KIND_FUNC] = { 0, 0 },
	[BTF_KIND_FUNC_PROTO] = { 0, sizeof(struct btf_param) },
	[BTF_KIND_VAR] = { sizeof(struct btf_var), 0 },
	[BTF_KIND_DATASEC] = { 0, sizeof(struct btf_var_secinfo) },
	[BTF_KIND_FLOAT] = { 0, 0 },
	[BTF_KIND_DECL_TAG] = { sizeof(struct btf_decl_tag), 0 },
	[BTF_KIND_TYPE_TAG] = { 0, 0 },
	[BTF_KIND_ENUM64] = { 0, sizeof(struct btf_enum64) },
};

static struct btf_type btf_type(const struct btf *b, uint32_t at)
{
	struct btf_type t;

	memcpy(&t, b->data + at, sizeof(t));
	return t;
}

/* "" for what is none. */
static const char *btf_name(const struct btf *b, uint32_t off)
{
	return off < b->strings_len ? b->strings + off : "";
}

static int btf_add(struct btf *b, uint32_t at, uint32_t *size)
{
	if (b->n >= *size) {
		uint32_t more = *size ? 2 * *size : BTF_FIRST;
		uint32_t *v = alloc_again(b->at, more * sizeof(*v));

		if (!v)
			return -ENOMEM;
		b->at = v;
		*size = more;
	}
	b->at[b->n++] = at;
	return 0;
}

static int btf_types(struct btf *b, uint32_t at, uint32_t end)
{
	uint32_t size = 0;
	int r = btf_add(b, 0, &size); /* ID 0 is void, and is nowhere */

	while (at < end && r == 0) {
		struct btf_type t;
		uint64_t need = sizeof(t);
		unsigned kind;

		if (end - at < sizeof(t))
			return -EBADMSG;
		t = btf_type(b, at);
		kind = BTF_INFO_KIND(t.info);
		if (kind >= sizeof(btf_shapes) / sizeof(btf_shapes[0]) ||
		    btf_shapes[kind].fixed < 0)
			return -ENOTSUP;
		need += (uint64_t)btf_shapes[kind].fixed +
			(uint64_t)btf_shapes[kind].each * BTF_INFO_VLEN(t.info);
		if (need > end - at)
			return -EBADMSG;
		r = btf_add(b, at, &size);
		at += (uint32_t)need;
	}
	return r;
}

int btf_index(struct btf *ret, const void *data, size_t len)
{
	struct btf_header h;
	uint64_t types, strings;
	int r;

	*ret = (struct btf)BTF_INIT;
	if (len < sizeof(h) || len > INT32_MAX)
		return -EBADMSG;
	memcpy(&h, data, sizeof(h));
	types = (uint64_t)h.hdr_len + h.type_off;
	strings = (uint64_t)h.hdr_len + h.str_off;
	if (h.magic != BTF_MAGIC || h.version != BTF_VERSION || types + h.type_len > len ||
	    strings + h.str_len > len || h.str_len == 0)
		return -EBADMSG;
	ret->data = data;
	ret->strings = (const char *)data + strings;
	ret->strings_len = h.str_len;
	if (ret->strings[h.str_len - 1] != '\0')
		return -EBADMSG;
	r = btf_types(ret, (uint32_t)types, (uint32_t)(types + h.type_len));
	if (r < 0)
		btf_free(ret);
	return r;
}

void btf_free(struct btf *b)
{
	free(b->at);
	*b = (struct btf)BTF_INIT;
}

int64_t btf_find(const struct btf *b, enum btf_kind kind, const char *name)
{
	for (uint32_t id = 1; id < b->n; id++) {
		struct btf_type t = btf_type(b, b->at[id]);

		if (BTF_INFO_KIND(t.info) == kind && strcmp(btf_name(b, t.name_off), name) == 0)
			return id;
	}
	return -ENOENT;
}

static bool btf_is_qualifier(unsigned kind)
{
	return kind == BTF_KIND_CONST || kind == BTF_KIND_VOLATILE || kind == BTF_KIND_TYPEDEF ||
	       kind == BTF_KIND_TYPE_TAG;
}

/* In bits. */
static int64_t btf_search(const struct btf *b, int64_t id, const char *name,
			  unsigned depth, unsigned *steps)
{
	struct btf_type t;

	if (id <= 0 || id >= (int64_t)b->n || depth == 0 || *steps == 0)
		return -ENOENT;
	--*steps;
	t = btf_type(b, b->at[id]);
	if (btf_is_qualifier(BTF_INFO_KIND(t.info)))
		return btf_search(b, t.type, name, depth - 1, steps);
	if (BTF_INFO_KIND(t.info) != BTF_KIND_STRUCT && BTF_INFO_KIND(t.info) != BTF_KIND_UNION)
		return -ENOENT;
	for (uint32_t i = 0; i < BTF_INFO_VLEN(t.info); i++) {
		struct btf_member m;
		int64_t off, in = 0;

		memcpy(&m, b->data + b->at[id] + sizeof(t) + i * sizeof(m), sizeof(m));
		off = BTF_INFO_KFLAG(t.info) ? BTF_MEMBER_BIT_OFFSET(m.offset) : m.offset;
		if (*btf_name(b, m.name_off) == '\0')
			in = btf_search(b, m.type, name, depth - 1, steps);
		else if (strcmp(btf_name(b, m.name_off), name) != 0)
			in = -ENOENT;
		if (in >= 0)
			return off + in;
	}
	return -ENOENT;
}

int64_t btf_member(const struct btf *b, int64_t id, const char *name)
{
	unsigned steps = BTF_STEPS;
	int64_t bits = btf_search(b, id, name, BTF_DEPTH, &steps);

	return bits < 0 ? bits : bits % CHAR_BIT ? -ENOENT : bits / CHAR_BIT;
}
