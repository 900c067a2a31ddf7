/* SPDX-License-Identifier: MIT */
#include "policy/sites.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/sys.h"

#define SITE_STACK_BYTES 512
#define SITE_MAPS_MAX 4096
#define SITE_MISSES_MAX 64
#define SITE_TEXT_MAX (UINT64_C(4) << 20)

void site_maps_deinit(struct site_maps *m)
{
	free(m->map);
	memset(m, 0, sizeof(*m));
}

/* 55d0a000-55d0b000 r-xp 00001000 08:01 1234    /usr/bin/x */
static bool site_parse(const char *line, struct site_map *ret)
{
	unsigned long long start, end, offset;
	char prot[5];
	int at = 0;

	if (sscanf(line, "%llx-%llx %4s %llx %*s %*s %n", &start, &end, prot, &offset, &at) != 4 ||
	    prot[2] != 'x' || !at)
		return false;
	ret->start = start;
	ret->end = end;
	ret->offset = offset;
	(void)snprintf(ret->path, sizeof(ret->path), "%s", line + at);
	return true;
}

static void site_add(struct site_maps *m, const struct site_map *one)
{
	if (m->n == m->size) {
		size_t size = m->size ? 2 * m->size : 64;
		struct site_map *more = size > SITE_MAPS_MAX ? NULL :
					sys_realloc(m->map, size * sizeof(*more));

		if (!more)
			return;
		m->map = more;
		m->size = size;
	}
	m->map[m->n++] = *one;
}

/* The whole of a file of /proc, ended by a 0 byte; NULL: no memory, not there. */
static char *site_text(const char *path)
{
	_cleanup_close_ int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	size_t size = 65536, len = 0;
	char *text = fd < 0 ? NULL : sys_malloc(size), *more;
	ssize_t n;

	while (text && (n = sys_read(fd, text + len, size - len - 1)) > 0) {
		len += (size_t)n;
		if (size - len > 4096)
			continue;
		size *= 2;
		more = size > SITE_TEXT_MAX ? NULL : sys_realloc(text, size);
		if (!more)
			break;
		text = more;
	}
	if (text)
		text[len] = '\0';
	return text;
}

static void site_load(struct site_maps *m, pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[48], *rest = NULL, *line;
	struct site_map one;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	text = site_text(path);
	m->n = 0;
	memset(m->returns, 0, sizeof(m->returns));
	if (!text)
		return;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (site_parse(line, &one))
			site_add(m, &one);
}

static const struct site_map *site_of(const struct site_maps *m, uint64_t address)
{
	for (size_t i = 0; i < m->n; i++)
		if (address >= m->map[i].start && address < m->map[i].end)
			return &m->map[i];
	return NULL;
}

/* Only the wrappers of a C library are passed over. */
static bool site_is_libc(const struct site_map *map)
{
	const char *name = strrchr(map->path, '/');

	name = name ? name + 1 : map->path;
	return strncmp(name, "libc.", 5) == 0 || strncmp(name, "libc-", 5) == 0 ||
	       strncmp(name, "libpthread", 10) == 0 || strncmp(name, "ld-musl", 7) == 0 ||
	       strcmp(name, "[vdso]") == 0;
}

static bool site_read(pid_t pid, uint64_t addr, void *buf, size_t len, size_t *ret_len)
{
	struct iovec local = { buf, len }, remote = { (void *)(uintptr_t)addr, len };
	ssize_t n = sys_process_vm_readv(pid, &local, 1, &remote, 1);

	*ret_len = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* Is address behind a call instruction?  e8 rel32, or ff /2 with 2 to 7 bytes. */
static bool site_is_return(pid_t pid, uint64_t address)
{
	unsigned char code[7];
	size_t n;

	if (address < sizeof(code) ||
	    !site_read(pid, address - sizeof(code), code, sizeof(code), &n) || n < sizeof(code))
		return false;
	if (code[2] == 0xe8)
		return true;
	for (size_t len = 2; len <= sizeof(code); len++)
		if (code[sizeof(code) - len] == 0xff &&
		    (code[sizeof(code) - len + 1] & 0x38) == 0x10)
			return true;
	return false;
}

/* Code does not change, but where it is mapped does: forgotten with the maps. */
static bool site_known(struct site_maps *m, pid_t pid, uint64_t address)
{
	uint64_t *known = &m->returns[(address >> 1) % SITE_RETURNS];

	if (*known != address && !site_is_return(pid, address))
		return false;
	*known = address;
	return true;
}

static bool site_scan(struct site_maps *m, pid_t pid, const unsigned char *stack, size_t len,
		      size_t word, uint64_t *ret_caller)
{
	for (size_t i = 0; i + word <= len; i += word) {
		const struct site_map *map;
		uint64_t at = 0;

		memcpy(&at, stack + i, word); /* x86: little endian */
		map = site_of(m, at);
		if (map && !site_is_libc(map) && site_known(m, pid, at)) {
			*ret_caller = at;
			return true;
		}
	}
	return false;
}

void site_caller(struct site_maps *m, pid_t pid, uint64_t ip, uint64_t sp, bool is_32bit,
		 uint64_t *ret_caller)
{
	const struct site_map *own = site_of(m, ip);
	unsigned char stack[SITE_STACK_BYTES];
	size_t len;

	*ret_caller = ip;
	if (!own) {
		site_load(m, pid);
		own = site_of(m, ip);
	}
	if (!own || !sp || !site_is_libc(own) || !site_read(pid, sp, stack, sizeof(stack), &len) ||
	    site_scan(m, pid, stack, len, is_32bit ? 4 : 8, ret_caller))
		return;
	/* The caller may be in a library that was loaded since. */
	if (m->misses++ < SITE_MISSES_MAX) {
		site_load(m, pid);
		(void)site_scan(m, pid, stack, len, is_32bit ? 4 : 8, ret_caller);
	}
}

void site_place(struct site_maps *m, pid_t pid, uint64_t address, struct site_place *ret)
{
	const struct site_map *map = site_of(m, address);

	if (!map) {
		site_load(m, pid);
		map = site_of(m, address);
	}
	ret->module[0] = '\0';
	ret->offset = address;
	if (!map)
		return;
	(void)snprintf(ret->module, sizeof(ret->module), "%s",
		       map->path[0] ? map->path : "[anonymous]");
	ret->offset = address - map->start + map->offset;
}
