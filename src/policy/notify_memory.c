/* SPDX-License-Identifier: MIT */
/*
 * Memory of a caller: reads may go by its number, for what was read is thrown
 * away when the number was no longer its own.  Writes go by /proc/TID/mem,
 * which belongs to one memory for good.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/notify.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "uapi/procmap.h"

int64_t notify_read(struct notify_job *job, uint64_t addr, void *buf, size_t len)
{
	struct iovec ours = { buf, len };
	struct iovec theirs = { (void *)(uintptr_t)addr, len };
	ssize_t r = sys_process_vm_readv(job->tid, &ours, 1, &theirs, 1);

	if (r >= 0 && !notify_is_valid(job))
		return -ESRCH;
	if (r < 0)
		return r == -EFAULT || r == -ESRCH ? r : -EFAULT;
	return (size_t)r == len ? r : -EFAULT;
}

static int memory_open(const struct notify_job *job, const char *name, int flags)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)job->tid, name);
	fd = sys_open(path, flags | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	if (notify_is_valid(job))
		return fd;
	(void)sys_close(fd);
	return -ESRCH;
}

int64_t notify_write(struct notify_job *job, uint64_t addr, const void *buf, size_t len)
{
	ssize_t r;

	if (job->mem < 0)
		job->mem = memory_open(job, "mem", O_RDWR);
	if (job->mem < 0)
		return -EFAULT;
	r = sys_pwrite(job->mem, buf, len, addr);
	return r >= 0 && (size_t)r == len ? r : -EFAULT;
}

/*
 * /proc/TID/mem writes where the program itself could not, so what it may write
 * to is asked for.  Before Linux 6.11 the list of mappings is read.
 */
static bool memory_query(int maps, uint64_t addr, uint64_t *ret_end)
{
	struct uapi_procmap_query q = {
		.size = sizeof(q),
		.query_flags = UAPI_PROCMAP_WRITABLE,
		.query_addr = addr,
	};
	int r = sys_procmap_query(maps, &q);

	if (r == 0)
		*ret_end = q.vma_end;
	return r == 0;
}

static bool memory_list(int maps, uint64_t addr, uint64_t *ret_end)
{
	uint64_t start, end, at = 0;
	char text[4096], perms[5];
	ssize_t n;

	/* Whole lines only; each read begins at the line that the last one cut. */
	while ((n = sys_pread(maps, text, sizeof(text) - 1, at)) > 0) {
		char *line = text, *next;

		text[n] = '\0';
		for (; (next = strchr(line, '\n')); line = next + 1) {
			if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, perms) != 3)
				return false;
			if (addr < start)
				return false;
			if (addr < end) {
				*ret_end = end;
				return perms[1] == 'w';
			}
		}
		if (line == text)
			return false;
		at += (uint64_t)(line - text);
	}
	return false;
}

uint64_t notify_writable(struct notify_job *job, uint64_t addr, uint64_t len)
{
	_cleanup_close_ int maps = memory_open(job, "maps", O_RDONLY);
	uint64_t at = addr, end = 0;

	if (maps < 0)
		return 0;
	while (at - addr < len) {
		if (!memory_query(maps, at, &end) && !memory_list(maps, at, &end))
			break;
		if (end <= at)
			break;
		at = end;
	}
	return at - addr < len ? at - addr : len;
}
