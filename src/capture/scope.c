/* SPDX-License-Identifier: MIT */
#include "capture/scope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sys/sys.h"

/* The kernel may lay a page of its own there at any time: not memory. */
static bool scope_is_fixed(const struct vma *v)
{
	return v->flags & VMA_SPECIAL;
}

/* Only write(2) and other mappings can change it, and files are seldom written so. */
static bool scope_is_read_only(const struct vma *v)
{
	return (v->flags & (VMA_SHARED | VMA_FILE)) == (VMA_SHARED | VMA_FILE) &&
	       !(v->flags & (VMA_WRITE | VMA_DELETED | VMA_HUGETLB));
}

static enum scope_how scope_private(const struct vma *v, enum scope_cover cover, const char **why)
{
	if (v->flags & VMA_HUGETLB) {
		*why = "huge pages of hugetlbfs";
		return SCOPE_STOPPED;
	}
	if (cover == SCOPE_COVER_TRACK && (v->flags & VMA_UFFD)) {
		*why = "memory under a userfaultfd of its own";
		return SCOPE_STOPPED;
	}
	if (cover == SCOPE_COVER_FORK && (v->flags & VMA_DONTFORK)) {
		*why = "memory that is not inherited (MADV_DONTFORK)";
		return SCOPE_STOPPED;
	}
	if (cover == SCOPE_COVER_FORK && (v->flags & VMA_WIPEONFORK)) {
		*why = "memory that is wiped on fork (MADV_WIPEONFORK)";
		return SCOPE_STOPPED;
	}
	return SCOPE_PRIVATE;
}

static int scope_add(struct scope *s, const struct scope_part *part)
{
	if (s->n == s->size) {
		size_t size = s->size ? s->size * 2 : 256;
		void *p = sys_realloc(s->v, size * sizeof(*s->v));

		if (!p)
			return -ENOMEM;
		s->v = p;
		s->size = size;
	}
	s->v[s->n++] = *part;
	return 0;
}

static bool scope_part_of(const struct vma *v, size_t i, const struct scope_rules *rules,
			  struct scope_part *ret)
{
	enum core_part part = core_part(v, rules->filter, rules->all);

	if (part == CORE_NONE || (v->flags & (VMA_UNREADABLE | VMA_IO)))
		return false;
	*ret = (struct scope_part){
		.start = v->start,
		.end = v->end,
		.vma = i,
		.file_base = (v->flags & VMA_FILE) != 0,
		.how = SCOPE_PRIVATE,
	};
	if (part == CORE_FIRST_PAGE) {
		ret->end = v->start + min_u64(CORE_PAGE, v->end - v->start);
		ret->first_page = true;
		ret->how = SCOPE_FIXED;
	} else if (scope_is_fixed(v)) {
		ret->how = SCOPE_FIXED;
	} else if (scope_is_read_only(v)) {
		ret->how = SCOPE_FILE;
	} else if (v->flags & VMA_SHARED) {
		ret->how = SCOPE_STOPPED;
		ret->why = "shared memory";
	} else {
		ret->how = scope_private(v, rules->cover, &ret->why);
	}
	if (rules->cover == SCOPE_COVER_STOP && ret->how == SCOPE_PRIVATE) {
		ret->how = SCOPE_STOPPED;
		ret->why = "all memory";
	}
	return true;
}

int scope_make(struct scope *ret, const struct maps *m, const struct scope_rules *rules)
{
	struct scope_part part;
	int r;

	ret->n = 0;
	for (size_t i = 0; i < m->n; i++) {
		if (!scope_part_of(&m->v[i], i, rules, &part))
			continue;
		r = scope_add(ret, &part);
		if (r < 0)
			return r;
	}
	return 0;
}

void scope_free(struct scope *s)
{
	free(s->v);
	*s = (struct scope)SCOPE_INIT;
}

uint64_t scope_bytes(const struct scope *s, enum scope_how how)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].how == how)
			sum += s->v[i].end - s->v[i].start;
	return sum;
}

const struct scope_part *scope_find(const struct scope *s, uint64_t addr)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->v[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n && s->v[lo].start <= addr ? &s->v[lo] : NULL;
}
