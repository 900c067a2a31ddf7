/* SPDX-License-Identifier: MIT */
/*
 * Where the kernel's structures have their members: its type information (BTF,
 * Documentation/bpf/btf.rst).  Not a general reader of it: names to IDs and
 * offsets, no more.  Pure; any bytes are safe to give it.
 */
#ifndef BASE_BTF_H
#define BASE_BTF_H

#include <stddef.h>
#include <stdint.h>

/* What types may be searched for, by the format's numbers. */
enum btf_kind { BTF_STRUCT = 4, BTF_FUNCTION = 12 };

struct btf {
	const unsigned char *data; /* the caller's, of which types and strings are parts */
	const char *strings;
	size_t strings_len;
	uint32_t *at;            /* where in data each type is; 1 is the first */
	uint32_t n;
};

#define BTF_INIT { 0 }

/*
 * Index data, which must stay as long as *ret is used.  -EBADMSG; -ENOTSUP: a
 * kind of type that was not known when this was written; -ENOMEM.
 */
int btf_index(struct btf *ret, const void *data, size_t len);
void btf_free(struct btf *b);
/* Its ID, from 1 on; -ENOENT. */
int64_t btf_find(const struct btf *b, enum btf_kind kind, const char *name);
/*
 * Offset in bytes of a member, looked for in unnamed members too.
 * -ENOENT: none of that name, or not a whole number of bytes in.
 */
int64_t btf_member(const struct btf *b, int64_t id, const char *name);

#endif
