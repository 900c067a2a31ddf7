/* SPDX-License-Identifier: MIT */
#include "policy/program.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sys/sys.h"

#define PROGRAM_HEADERS_MAX 64

/* Static: no PT_INTERP, so no dynamic loader that would read LD_PRELOAD. */
static bool program_has_interp64(int fd, const Elf64_Ehdr *e)
{
	for (unsigned i = 0; i < e->e_phnum && i < PROGRAM_HEADERS_MAX; i++) {
		Elf64_Phdr p;

		if (sys_pread(fd, &p, sizeof(p), e->e_phoff + (uint64_t)i * e->e_phentsize) !=
		    (ssize_t)sizeof(p))
			return false;
		if (p.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static bool program_has_interp32(int fd, const Elf32_Ehdr *e)
{
	for (unsigned i = 0; i < e->e_phnum && i < PROGRAM_HEADERS_MAX; i++) {
		Elf32_Phdr p;

		if (sys_pread(fd, &p, sizeof(p), e->e_phoff + (uint64_t)i * e->e_phentsize) !=
		    (ssize_t)sizeof(p))
			return false;
		if (p.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static void program_read(int fd, struct program *p)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf64_Ehdr e64;
		Elf32_Ehdr e32;
	} head;

	memset(&head, 0, sizeof(head));
	if (sys_pread(fd, &head, sizeof(head), 0) < (ssize_t)sizeof(head.e32) ||
	    memcmp(head.ident, ELFMAG, SELFMAG) != 0)
		return;
	p->elf = true;
	p->is_32bit = head.ident[EI_CLASS] == ELFCLASS32;
	p->is_static = p->is_32bit ? !program_has_interp32(fd, &head.e32) :
				     !program_has_interp64(fd, &head.e64);
}

static int program_try(const char *path, struct program *p)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = sys_stat(path, &st);

	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode) || !(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return -EACCES;
	p->setuid = st.st_mode & (S_ISUID | S_ISGID);
	fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
	if (fd >= 0) /* else it can be executed and not be read */
		program_read(fd, p);
	return 0;
}

/* The next directory of *list and name; false at the end. */
static bool program_next(const char **list, const char *name, char *ret, size_t size)
{
	size_t len;
	int n;

	while (*list) {
		len = strcspn(*list, ":");
		n = len ? snprintf(ret, size, "%.*s/%s", (int)len, *list, name) :
			  snprintf(ret, size, "%s", name);
		*list = (*list)[len] ? *list + len + 1 : NULL;
		if (n > 0 && (size_t)n < size)
			return true;
	}
	return false;
}

int program_find(const char *name, struct program *ret, struct err *reterr)
{
	const char *list = getenv("PATH");
	struct program p = { .path = "" };
	int r = -ENOENT, why = -ENOENT;

	if (strchr(name, '/') || !*name) {
		(void)snprintf(p.path, sizeof(p.path), "%s", name);
		why = strlen(name) < sizeof(p.path) ? program_try(p.path, &p) : -ENAMETOOLONG;
	} else {
		if (!list)
			list = "/bin:/usr/bin";
		while (why != 0 && program_next(&list, name, p.path, sizeof(p.path))) {
			r = program_try(p.path, &p);
			if (r == 0 || r == -EACCES)
				why = r;
		}
	}
	if (why < 0)
		return err_errno(reterr, why, "%s", name);
	*ret = p;
	return 0;
}
