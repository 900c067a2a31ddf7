/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "end/private.h"
#include "sys/sys.h"

#define END_ZERO_BYTES (64u << 10)

static const unsigned char end_zeroes[END_ZERO_BYTES];

int end_open_mem_fd(struct end *e)
{
	char path[40];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/mem",
		 (int)(e->kind == DECANT_END_PROCESS ? e->pid : getpid()));
	r = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r == -EACCES ? -EPERM : r;
	e->mem_fd = r;
	return 0;
}

int64_t end_copy(struct end *e, void *to, uint64_t from, uint64_t len)
{
	pid_t pid = e->kind == DECANT_END_PROCESS ? e->pid : getpid();
	struct iovec local = { .iov_base = to, .iov_len = len };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)from, .iov_len = len };
	int64_t n;
	int r;

	if (e->mem_fd < 0) {
		n = sys_process_vm_readv(pid, &local, 1, &remote, 1);
		if (n != -ENOSYS && n != -EPERM)
			return n;
		/* Not allowed (a container's filter): the same by a file. */
		r = end_open_mem_fd(e);
		if (r < 0)
			return r;
	}
	n = sys_pread(e->mem_fd, to, len, from);
	/* 0: the process has no memory any more. */
	return n == -EIO ? -EFAULT : n == 0 ? -ESRCH : n;
}

uint64_t end_memory_left(const struct end *e, uint64_t pos, uint64_t len)
{
	if (pos >= e->size)
		return 0;
	return len < e->size - pos ? len : e->size - pos;
}

const void *end_view(const struct end *e, uint64_t pos, uint64_t *len_bytes)
{
	if (e->kind == DECANT_END_MEMORY) {
		*len_bytes = end_memory_left(e, pos, *len_bytes);
		return e->addr + pos;
	}
	if (e->kind == DECANT_END_ZERO) {
		if (*len_bytes > END_ZERO_BYTES)
			*len_bytes = END_ZERO_BYTES;
		return end_zeroes;
	}
	return NULL;
}

void *end_room(const struct end *e, uint64_t pos, uint64_t *len_bytes)
{
	if (e->kind != DECANT_END_MEMORY)
		return NULL;
	*len_bytes = end_memory_left(e, pos, *len_bytes);
	return e->addr + pos;
}
