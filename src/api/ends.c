/* SPDX-License-Identifier: MIT */
/* The makers of ends: nothing but filled-in structures. */
#include "decant.h"

static struct decant_end ends_of_fd(uint32_t kind, int fd, uint64_t offset)
{
	return (struct decant_end){ .kind = kind, .fd = fd, .offset = offset };
}

struct decant_end decant_fd(int fd)
{
	return ends_of_fd(DECANT_END_FD, fd, DECANT_CURRENT);
}

struct decant_end decant_file(int fd, uint64_t offset)
{
	return ends_of_fd(DECANT_END_FILE, fd, offset);
}

struct decant_end decant_pipe(int fd)
{
	return ends_of_fd(DECANT_END_PIPE, fd, 0);
}

struct decant_end decant_socket(int fd)
{
	return ends_of_fd(DECANT_END_SOCKET, fd, 0);
}

struct decant_end decant_memory(const void *addr, uint64_t len)
{
	return (struct decant_end){
		.kind = DECANT_END_MEMORY, .fd = -1, .addr = (void *)addr, .len = len,
	};
}

struct decant_end decant_process(pid_t pid, uint64_t addr)
{
	return (struct decant_end){
		.kind = DECANT_END_PROCESS, .fd = -1, .pid = pid, .offset = addr,
	};
}

struct decant_end decant_null(void)
{
	return (struct decant_end){ .kind = DECANT_END_NULL, .fd = -1 };
}

struct decant_end decant_zero(void)
{
	return (struct decant_end){ .kind = DECANT_END_ZERO, .fd = -1 };
}
