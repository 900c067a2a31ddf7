/* SPDX-License-Identifier: MIT */
#include "look.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "raw.h"
#include "shim.h"

#define LOOK_BYTES 2048
#define LOOK_SCRIPTS 4 /* interpreters of interpreters, as in the kernel */

/* The dynamic loader forgets LD_PRELOAD where ids change. */
static bool look_is_setuid(int fd)
{
	struct stat st;
	char caps[64];

	if (raw2(SYS_fstat, fd, &st) < 0)
		return false;
	if ((st.st_mode & S_ISUID) && (long)st.st_uid != raw1(SYS_getuid, 0))
		return true;
	if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	    (long)st.st_gid != raw1(SYS_getgid, 0))
		return true;
	return raw1(SYS_getuid, 0) != 0 &&
	       raw4(SYS_fgetxattr, fd, "security.capability", caps, sizeof(caps)) > 0;
}

static bool look_is_static(const unsigned char *p, size_t len)
{
	Elf64_Ehdr head;

	memcpy(&head, p, sizeof(head));
	if (head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phoff > len)
		return false;
	for (unsigned i = 0; i < head.e_phnum; i++) {
		size_t at = head.e_phoff + i * sizeof(Elf64_Phdr);
		Elf64_Phdr ph;

		if (at + sizeof(ph) > len)
			return false;
		memcpy(&ph, p + at, sizeof(ph));
		if (ph.p_type == PT_INTERP)
			return false;
	}
	return true;
}

/* "#!/bin/sh -e": cuts the path out; false: it is no script. */
static bool look_script(unsigned char *p, size_t len, char *ret, size_t size)
{
	size_t at = 2, n = 0;

	if (len < 3 || p[0] != '#' || p[1] != '!')
		return false;
	while (at < len && (p[at] == ' ' || p[at] == '\t'))
		at++;
	while (at < len && n + 1 < size && !memchr(" \t\r\n", p[at], 5))
		ret[n++] = (char)p[at++];
	ret[n] = '\0';
	return n > 0;
}

bool shim_look_program(const char *path, uint32_t *ret_why)
{
	unsigned char head[LOOK_BYTES];
	char interpreter[256];

	for (int i = 0; i < LOOK_SCRIPTS; i++) {
		long fd = raw4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
		bool is_setuid;
		long len;

		if (fd < 0)
			return false;
		len = raw4(SYS_pread64, fd, head, sizeof(head), 0);
		is_setuid = look_is_setuid((int)fd);
		(void)raw1(SYS_close, fd);
		if (len >= (long)sizeof(Elf64_Ehdr) && memcmp(head, ELFMAG, SELFMAG) == 0) {
			*ret_why = head[EI_CLASS] == ELFCLASS32 ? HOLE_32BIT :
				   look_is_static(head, (size_t)len) ? HOLE_STATIC : HOLE_SETUID;
			return *ret_why != HOLE_SETUID || is_setuid;
		}
		if (len < 0 || !look_script(head, (size_t)len, interpreter, sizeof(interpreter)))
			return false;
		path = interpreter;
	}
	return false;
}
