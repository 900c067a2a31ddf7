/* SPDX-License-Identifier: MIT */
/*
 * The texts of /proc/PID/maps and smaps.  By hand, for inside a stop there can
 * be 65,000 lines of it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "process/maps.h"
#include "sys/sys.h"

#define MAPS_FIRST 256

/* --------------------------------------------------------------- scanning */

/* 16: no digit.  The kernel writes lower case only. */
static unsigned maps_digit(unsigned char c)
{
	unsigned v = c - '0';

	if (v < 10)
		return v;
	v = c - 'a';
	return v < 6 ? v + 10 : 16;
}

/* At least one digit and at most 16; false otherwise. */
static bool maps_hex(const char **at, uint64_t *ret)
{
	const char *p = *at;
	uint64_t v = 0;
	unsigned d;

	while ((d = maps_digit((unsigned char)*p)) < 16) {
		if (v >> 60)
			return false;
		v = v << 4 | d;
		p++;
	}
	if (p == *at)
		return false;
	*at = p;
	*ret = v;
	return true;
}

static bool maps_decimal(const char **at, uint64_t *ret)
{
	const char *p = *at;
	uint64_t v = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return false;
	if (p == *at)
		return false;
	*at = p;
	*ret = v;
	return true;
}

static bool maps_char(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

/* ------------------------------------------------------------------ names */

static bool maps_begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

/* Shared memory with a name of its own has no " (deleted)", and is. */
static uint32_t maps_file_flags(const char *name, size_t len)
{
	static const char deleted[] = " (deleted)";
	const size_t n = sizeof(deleted) - 1;

	if (len >= n && memcmp(name + len - n, deleted, n) == 0)
		return VMA_DELETED;
	return maps_begins(name, "[anon_shmem:") ? VMA_DELETED : 0;
}

static uint32_t maps_anon_flags(const char *name)
{
	if (strcmp(name, "[stack]") == 0)
		return VMA_STACK;
	if (strcmp(name, "[heap]") == 0)
		return VMA_HEAP;
	if (maps_begins(name, "[vvar"))
		return VMA_SPECIAL | VMA_UNREADABLE;
	if (strcmp(name, "[vdso]") == 0 || strcmp(name, "[vsyscall]") == 0 ||
	    strcmp(name, "[uprobes]") == 0)
		return VMA_SPECIAL;
	return 0;
}

/* The kernel writes a newline in a name as \012 and escapes nothing else. */
static void maps_put_name(struct buf *names, const char *from, const char *end)
{
	const char *at;

	while ((at = memchr(from, '\\', (size_t)(end - from))) != NULL) {
		bool newline = end - at >= 4 && memcmp(at, "\\012", 4) == 0;

		buf_append(names, from, (size_t)(at - from));
		buf_putc(names, newline ? '\n' : '\\');
		from = at + (newline ? 4 : 1);
	}
	buf_append(names, from, (size_t)(end - from));
	buf_putc(names, '\0');
}

/* Mappings of one file stand together: its name is kept once. */
static int maps_take_name(struct maps *m, struct vma *v, const char *from, const char *end)
{
	struct buf *names = &m->names;
	const struct vma *last = m->n ? v - 1 : NULL;
	size_t at = names->len;

	if (from == end)
		return 0;
	maps_put_name(names, from, end);
	if (names->error)
		return names->error;
	if (at > UINT32_MAX)
		return -EFBIG;
	if (v->flags & VMA_FILE)
		v->flags |= maps_file_flags(names->data + at, names->len - at - 1);
	else
		v->flags |= maps_anon_flags(names->data + at);
	if (last && last->name && strcmp(names->data + last->name, names->data + at) == 0) {
		names->len = at;
		names->data[at] = '\0';
		at = last->name;
	}
	v->name = (uint32_t)at;
	return 0;
}

/* ------------------------------------------------------------------ lines */

static int maps_room(struct maps *m)
{
	size_t size = m->size ? 2 * m->size : MAPS_FIRST;
	struct vma *v;

	if (m->n < m->size)
		return 0;
	v = sys_realloc(m->v, size * sizeof(*v));
	if (!v)
		return -ENOMEM;
	m->v = v;
	m->size = size;
	return 0;
}

static bool maps_access(const char **at, uint32_t *flags)
{
	const char *p = *at;

	if ((p[0] != 'r' && p[0] != '-') || (p[1] != 'w' && p[1] != '-') ||
	    (p[2] != 'x' && p[2] != '-') || (p[3] != 'p' && p[3] != 's'))
		return false;
	*flags = (p[0] == 'r' ? VMA_READ : 0) | (p[1] == 'w' ? VMA_WRITE : 0) |
		 (p[2] == 'x' ? VMA_EXEC : 0) | (p[3] == 's' ? VMA_SHARED : 0);
	*at = p + 4;
	return true;
}

/* makedev(), which is a function of libc's. */
static uint64_t maps_dev(uint64_t major, uint64_t minor)
{
	return (major & 0xfffff000) << 32 | (major & 0xfff) << 8 | (minor & 0xffffff00) << 12 |
	       (minor & 0xff);
}

/* "7f12a000-7f12b000 rw-p 00001000 fd:01 1234       /the/name" */
static int maps_header(struct maps *m, const char *at, const char *end)
{
	uint64_t major, minor;
	struct vma *v;
	int r = maps_room(m);

	if (r < 0)
		return r;
	v = &m->v[m->n];
	*v = (struct vma){ .page_size = (uint32_t)sysconf(_SC_PAGESIZE) };
	if (!maps_hex(&at, &v->start) || !maps_char(&at, '-') || !maps_hex(&at, &v->end) ||
	    !maps_char(&at, ' ') || !maps_access(&at, &v->flags) || !maps_char(&at, ' ') ||
	    !maps_hex(&at, &v->file_offset) || !maps_char(&at, ' ') || !maps_hex(&at, &major) ||
	    !maps_char(&at, ':') || !maps_hex(&at, &minor) || !maps_char(&at, ' ') ||
	    !maps_decimal(&at, &v->ino) || at > end || v->start >= v->end)
		return -EBADMSG;
	v->dev = maps_dev(major, minor);
	if (v->ino)
		v->flags |= VMA_FILE;
	while (at < end && *at == ' ')
		at++;
	r = maps_take_name(m, v, at, end);
	if (r < 0)
		return r;
	/*
	 * The text comes in pieces, and the target may change its mappings in
	 * between: then one begins where an earlier one had not yet ended.
	 */
	if (m->n && v->start < v[-1].end) {
		uint64_t cut = v[-1].end - v->start;

		if (v->end <= v[-1].end)
			return 0;
		v->start += cut;
		v->file_offset += v->flags & VMA_FILE ? cut : 0;
	}
	m->n++;
	return 0;
}

static const struct {
	char word[3];
	uint32_t flag;
} maps_words[] = {
	{ "dd", VMA_DONTDUMP }, { "dc", VMA_DONTFORK }, { "wf", VMA_WIPEONFORK },
	{ "ht", VMA_HUGETLB }, { "io", VMA_IO }, { "pf", VMA_IO },
	{ "um", VMA_UFFD }, { "uw", VMA_UFFD }, { "ui", VMA_UFFD },
};

static void maps_vm_flags(struct vma *v, const char *at, const char *end)
{
	size_t i;

	v->flags |= VMA_KNOWN;
	for (; at + 1 < end; at++) {
		const char *word = at;

		while (at < end && *at != ' ')
			at++;
		if (at - word != 2)
			continue;
		for (i = 0; i < sizeof(maps_words) / sizeof(maps_words[0]); i++)
			if (memcmp(maps_words[i].word, word, 2) == 0)
				v->flags |= maps_words[i].flag;
	}
}

/* "KernelPageSize:        4 kB" and its like; others are passed over. */
static int maps_detail(struct vma *v, const char *at, const char *end)
{
	const char *value = memchr(at, ':', (size_t)(end - at));
	uint64_t n;

	if (!value)
		return -EBADMSG;
	for (value++; value < end && *value == ' ';)
		value++;
	if (maps_begins(at, "VmFlags:")) {
		maps_vm_flags(v, value, end);
		return 0;
	}
	if (maps_begins(at, "KernelPageSize:")) {
		if (!maps_decimal(&value, &n) || n < 4 || n > UINT32_MAX / 1024 || n & (n - 1))
			return -EBADMSG;
		v->page_size = (uint32_t)n * 1024;
	} else if (maps_begins(at, "Anonymous:") || maps_begins(at, "Swap:")) {
		if (!maps_decimal(&value, &n))
			return -EBADMSG;
		if (n && !(v->flags & VMA_SHARED))
			v->flags |= VMA_ANON;
	}
	return 0;
}

int maps_parse(const char *text, enum maps_how how, struct maps *ret)
{
	const char *line, *end;
	bool any = false, kept = false; /* details may belong to one that was not */
	size_t before;
	int r = 0;

	ret->n = 0;
	buf_clear(&ret->names);
	buf_putc(&ret->names, '\0');
	if (ret->names.error)
		return ret->names.error;
	for (line = text; *line && r == 0; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (maps_digit((unsigned char)*line) < 16) {
			before = ret->n;
			r = maps_header(ret, line, end);
			kept = ret->n > before;
			any = true;
		} else if (how == MAPS_SMAPS && any) {
			r = kept ? maps_detail(&ret->v[ret->n - 1], line, end) : 0;
		} else {
			r = -EBADMSG;
		}
	}
	if (r < 0)
		ret->n = 0;
	return r;
}
