/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

#include "hold.h"

static unsigned char *volatile hold_start;
static volatile uint64_t hold_bytes;

void hold_memory(uint64_t bytes)
{
	void *held;

	if (bytes == 0 || hold_start)
		return;
	held = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (held == MAP_FAILED)
		return;
	/* In large pieces, as the page cache takes it. */
	(void)madvise(held, bytes, MADV_HUGEPAGE);
	for (uint64_t at = 0; at < bytes; at += 4096)
		((volatile unsigned char *)held)[at] = 1;
	hold_bytes = bytes;
	hold_start = held;
}

void hold_over(void)
{
	void *held = hold_start;

	hold_start = NULL;
	if (held)
		munmap(held, hold_bytes);
}

static void hold_signal(int signal)
{
	(void)signal;
	hold_over();
}

void hold_on_signal(void)
{
	struct sigaction act = { .sa_handler = hold_signal, .sa_flags = SA_RESTART };

	(void)sigaction(SIGUSR1, &act, NULL);
}
