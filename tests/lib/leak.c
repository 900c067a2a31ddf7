/* SPDX-License-Identifier: MIT */
#include "lib/leak.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/kit.h"

/* ThreadSanitizer starts a thread of its own with the first of ours. */
#ifdef __SANITIZE_THREAD__
#define LEAK_THREADS 1
#else
#define LEAK_THREADS 0
#endif

static void leak_fds(struct leak *ret)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;

	if (!dir)
		kit_die("/proc/self/fd: %m");
	while ((e = readdir(dir))) {
		char link[64], *end;
		unsigned long fd = strtoul(e->d_name, &end, 10);
		ssize_t n;

		if (*end || e->d_name[0] == '.' || (int)fd == dirfd(dir))
			continue;
		ret->fds++;
		if (fd < LEAK_FDS_MAX)
			ret->open[fd / 8] |= (unsigned char)(1u << fd % 8);
		n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		if (strncmp(link, "pipe:", 5) == 0)
			ret->pipes++;
	}
	closedir(dir);
}

/* Shared mappings of files: what a route maps and must unmap again. */
static void leak_maps(struct leak *ret)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	if (!f)
		kit_die("/proc/self/maps: %m");
	while (fgets(line, sizeof(line), f)) {
		char *flags = strchr(line, ' ');

		if (flags && flags[4] == 's' && strchr(line, '/') && !strstr(line, "/dev/zero"))
			ret->file_maps++;
	}
	fclose(f);
}

void leak_take(struct leak *ret)
{
	memset(ret, 0, sizeof(*ret));
	leak_fds(ret);
	leak_maps(ret);
	ret->threads = (unsigned)kit_status("Threads");
	ret->pinned_kb = kit_status("VmPin");
	ret->locked_kb = kit_status("VmLck");
}

static void leak_name_fd(const struct leak *before, const struct leak *now, char *ret, size_t size)
{
	for (unsigned fd = 0; fd < LEAK_FDS_MAX; fd++) {
		char path[64];
		ssize_t n;

		if (!(now->open[fd / 8] & 1u << fd % 8) || (before->open[fd / 8] & 1u << fd % 8))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%u", fd);
		n = readlink(path, ret, size - 1);
		ret[n > 0 ? n : 0] = '\0';
		return;
	}
	ret[0] = '\0';
}

static bool leak_compare(const struct leak *b, const struct leak *n, char *ret, size_t size)
{
	char name[96];

	if (n->fds > b->fds) {
		leak_name_fd(b, n, name, sizeof(name));
		snprintf(ret, size, "%u descriptors more, one is %s", n->fds - b->fds, name);
	} else if (n->threads > b->threads + LEAK_THREADS) {
		snprintf(ret, size, "%u threads more", n->threads - b->threads);
	} else if (n->pinned_kb > b->pinned_kb) {
		snprintf(ret, size, "%llu KiB more pinned",
			 (unsigned long long)(n->pinned_kb - b->pinned_kb));
	} else if (n->locked_kb > b->locked_kb) {
		snprintf(ret, size, "%llu KiB more locked",
			 (unsigned long long)(n->locked_kb - b->locked_kb));
	} else if (n->file_maps > b->file_maps) {
		snprintf(ret, size, "%u mappings of files more", n->file_maps - b->file_maps);
	} else {
		return true;
	}
	return false;
}

const char *leak_since(const struct leak *before, unsigned wait_ms)
{
	static char text[192];
	uint64_t until = kit_now_ns() + (uint64_t)wait_ms * 1000000u;

	for (;;) {
		struct leak now;

		leak_take(&now);
		if (leak_compare(before, &now, text, sizeof(text)))
			return NULL;
		if (kit_now_ns() >= until)
			return text;
		kit_sleep_ms(5);
	}
}
