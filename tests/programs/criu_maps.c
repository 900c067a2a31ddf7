/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD into CRIU before 4.2: since Linux 6.13 [vvar_vclock] is a
 * mapping of its own, which such a CRIU does not know and ends at.  Here it
 * reads of it as a part of [vvar], as it was.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

int openat64(int dir_fd, const char *path, int flags, ...);
int open64(const char *path, int flags, ...);

static bool is_mapping(const char *line, unsigned long *ret_start, unsigned long *ret_end)
{
	char flags[8];

	return sscanf(line, "%lx-%lx %7s", ret_start, ret_end, flags) == 3 && strlen(flags) == 4 &&
	       strchr("r-", flags[0]);
}

/* The same text, with the two as one. */
static void join(FILE *from, FILE *to)
{
	unsigned long start, end, vvar = 0, vvar_end = 0, clock_end = 0;
	char line[4096];
	bool skip = false;

	while (fgets(line, sizeof(line), from)) {
		if (!is_mapping(line, &start, &end))
			continue;
		if (strstr(line, "[vvar]")) {
			vvar = start;
			vvar_end = end;
		} else if (strstr(line, "[vvar_vclock]") && start == vvar_end) {
			clock_end = end;
		}
	}
	rewind(from);
	while (fgets(line, sizeof(line), from)) {
		bool head = is_mapping(line, &start, &end);

		if (head)
			skip = clock_end && start == vvar_end;
		if (skip)
			continue;
		if (head && clock_end && start == vvar)
			fprintf(to, "%lx-%lx%s", vvar, clock_end, strchr(line, ' '));
		else
			fputs(line, to);
	}
}

static int joined(int fd, const char *path)
{
	const char *name = strrchr(path, '/');
	FILE *from, *to;
	int copy;

	name = name ? name + 1 : path;
	if (fd < 0 || (strcmp(name, "maps") != 0 && strcmp(name, "smaps") != 0))
		return fd;
	copy = memfd_create(name, MFD_CLOEXEC);
	from = fdopen(fd, "r");
	to = fdopen(dup(copy), "w");
	if (copy < 0 || !from || !to)
		abort();
	join(from, to);
	fclose(from);
	fclose(to);
	lseek(copy, 0, SEEK_SET);
	return copy;
}

int openat64(int dir_fd, const char *path, int flags, ...)
{
	int (*real)(int, const char *, int, ...) =
		(int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat64");
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return joined(real(dir_fd, path, flags, mode), path);
}

int open64(const char *path, int flags, ...)
{
	int (*real)(const char *, int, ...) =
		(int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return joined(real(path, flags, mode), path);
}
