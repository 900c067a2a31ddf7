/* SPDX-License-Identifier: MIT */
#include "dump/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/proc.h"
#include "sys/sys.h"

#define NAMES_BUFFER 8192

static const struct {
	enum names_kind kind;
	const char *prefix;
	uint64_t id_max;
} names_numbered[] = {
	/* The longer prefix first. */
	{ NAMES_PAGEMAP_SHMEM, "pagemap-shmem-", UINT64_MAX },
	{ NAMES_PAGEMAP, "pagemap-", INT32_MAX },
	{ NAMES_PAGES, "pages-", UINT32_MAX },
	{ NAMES_NOTE, "decant-", INT32_MAX },
};

/* A number as printf() writes it, then ".img". */
static bool names_number(const char *s, uint64_t max, uint64_t *ret)
{
	char again[24], *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*ret = strtoull(s, &end, 10);
	if (errno || *ret > max || strcmp(end, ".img") != 0)
		return false;
	(void)snprintf(again, sizeof(again), "%" PRIu64, *ret);
	return strncmp(s, again, (size_t)(end - s)) == 0 && strlen(again) == (size_t)(end - s);
}

struct names_parsed names_parse(const char *name)
{
	size_t len = strlen(name), part = sizeof(NAMES_PART) - 1;
	struct names_parsed ret = { .kind = NAMES_OTHER };
	char text[NAMES_MAX];

	if (strcmp(name, NAMES_PARENT) == 0)
		return (struct names_parsed){ .kind = NAMES_PARENT_LINK };
	ret.part = len > part && strcmp(name + len - part, NAMES_PART) == 0;
	if (ret.part)
		len -= part;
	if (len >= sizeof(text))
		return (struct names_parsed){ .kind = NAMES_OTHER };
	memcpy(text, name, len);
	text[len] = '\0';
	if (strcmp(text, NAMES_INVENTORY) == 0)
		ret.kind = NAMES_INVENTORY_IMG;
	else if (strcmp(text, NAMES_STATS) == 0)
		ret.kind = NAMES_STATS_DUMP;
	for (size_t i = 0; i < sizeof(names_numbered) / sizeof(names_numbered[0]); i++) {
		size_t n = strlen(names_numbered[i].prefix);

		if (strncmp(text, names_numbered[i].prefix, n) == 0 &&
		    names_number(text + n, names_numbered[i].id_max, &ret.id)) {
			ret.kind = names_numbered[i].kind;
			break;
		}
	}
	if (ret.kind == NAMES_OTHER)
		ret.part = false;
	return ret;
}

void names_pagemap(char ret[NAMES_MAX], enum dir_kind kind, uint64_t id)
{
	(void)snprintf(ret, NAMES_MAX, "pagemap-%s%" PRIu64 ".img",
		       kind == DIR_SHMEM ? "shmem-" : "", id);
}

void names_pages(char ret[NAMES_MAX], uint32_t pages_id)
{
	(void)snprintf(ret, NAMES_MAX, "pages-%" PRIu32 ".img", pages_id);
}

void names_note(char ret[NAMES_MAX], uint64_t pid)
{
	(void)snprintf(ret, NAMES_MAX, "decant-%" PRIu64 ".img", pid);
}

void names_part(char ret[NAMES_MAX + sizeof(NAMES_PART)], const char *name)
{
	(void)snprintf(ret, NAMES_MAX + sizeof(NAMES_PART), "%.*s%s", NAMES_MAX - 1, name,
		       NAMES_PART);
}

static int names_block(const char *block, ssize_t len, int (*fn)(void *arg, const char *name),
		       void *arg)
{
	ssize_t at = 0;
	int r = 0;

	while (at < len && r == 0) {
		const struct dirent64 *d = (const void *)(block + at);

		at += d->d_reclen;
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = fn(arg, d->d_name);
	}
	return r;
}

int names_each(int dir_fd, int (*fn)(void *arg, const char *name), void *arg)
{
	/* An opening of our own, which has a position of its own. */
	_cleanup_close_ int fd = sys_openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	char block[NAMES_BUFFER] __attribute__((aligned(16)));
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return fd;
	while (r == 0) {
		n = sys_getdents64(fd, block, sizeof(block));
		if (n <= 0)
			return (int)n;
		r = names_block(block, n, fn, arg);
	}
	return r;
}
