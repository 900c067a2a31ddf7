/* SPDX-License-Identifier: MIT */
/* Pages that change without a fault: io_uring's registered buffers. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "process/pages.h"
#include "sys/proc.h"
#include "sys/sys.h"

#define PINNED_CHUNK 8192
/* A ring that is just in use says nothing of its buffers. */
#define PINNED_TRIES 20
#define PINNED_WAIT_NS 500000

/* "    0: 0x7f0000001000/8192", or "    1: <none>" */
static int pinned_buffer(const char *line, struct ranges *ret)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const char *at = strchr(line, ':');
	uint64_t start, len, end;
	char *rest;

	if (!at || strncmp(at, ": 0x", 4) != 0)
		return 0;
	start = strtoull(at + 4, &rest, 16);
	if (*rest != '/')
		return 0;
	len = strtoull(rest + 1, NULL, 10);
	if (len == 0 || !checked_add(start, len, &end) || !checked_align_up(end, page, &end))
		return 0;
	return ranges_add(ret, align_down(start, page), end);
}

int pages_parse_pinned(const char *text, struct ranges *ret)
{
	const char *line = strstr(text, "\nUserBufs:");
	int r = 0;

	if (!line)
		return -EAGAIN;
	/* Until a line that does not begin with a number. */
	while (r == 0 && (line = strchr(line + 1, '\n')) != NULL &&
	       (line[1] == ' ' || (line[1] >= '0' && line[1] <= '9')))
		r = pinned_buffer(line + 1, ret);
	return r;
}

/* 1: could not be found out. */
static int pinned_ring(int fdinfo_fd, const char *name, struct ranges *ret)
{
	struct buf text = BUF_INIT;
	int i, r = -EAGAIN;

	for (i = 0; i < PINNED_TRIES && r == -EAGAIN; i++) {
		if (i > 0)
			(void)sys_sleep_ns(PINNED_WAIT_NS);
		buf_clear(&text);
		r = procfs_read(fdinfo_fd, name, &text);
		if (r == 0)
			r = pages_parse_pinned(buf_str(&text), ret);
	}
	buf_free(&text);
	if (r == -ENOENT) /* closed meanwhile */
		return 0;
	return r == -EAGAIN ? 1 : r;
}

static bool pinned_is_ring(int fd_fd, const char *name)
{
	char link[64];

	/* Too long a name is no ring's. */
	return sys_readlinkat(fd_fd, name, link, sizeof(link)) > 0 &&
	       strcmp(link, "anon_inode:[io_uring]") == 0;
}

static int pinned_rings(int fd_fd, int fdinfo_fd, struct ranges *ret)
{
	char chunk[PINNED_CHUNK] __attribute__((aligned(8)));
	int r = 0, unknown = 0;
	ssize_t len, at;

	while ((len = sys_getdents64(fd_fd, chunk, sizeof(chunk))) > 0) {
		for (at = 0; at < len; at += ((struct dirent64 *)(chunk + at))->d_reclen) {
			const char *name = ((struct dirent64 *)(chunk + at))->d_name;

			if (!pinned_is_ring(fd_fd, name))
				continue;
			r = pinned_ring(fdinfo_fd, name, ret);
			if (r < 0)
				return r;
			unknown |= r;
		}
	}
	return len < 0 ? (int)len : unknown;
}

int pages_pinned(const struct target *t, struct ranges *ret, struct err *reterr)
{
	_cleanup_close_ int fd_fd = target_file(t, "fd", O_RDONLY | O_DIRECTORY);
	_cleanup_close_ int fdinfo_fd = target_file(t, "fdinfo", O_RDONLY | O_DIRECTORY);
	struct ranges found = RANGES_INIT;
	struct proc_status st;
	int r = fd_fd < 0 ? fd_fd : fdinfo_fd;
	size_t i;

	if (r >= 0)
		r = pinned_rings(fd_fd, fdinfo_fd, &found);
	if (r == 0)
		r = procfs_status(t->task_fd, &st);
	if (r == 0 && st.vm_pin_kib > ranges_bytes(&found) / 1024)
		r = 1;
	for (i = 0; i < found.n && r >= 0; i++)
		r = ranges_add(ret, found.v[i].start, found.v[i].end) ?: r;
	ranges_free(&found);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: what it has pinned", (int)t->pid);
	return r;
}
