/* SPDX-License-Identifier: MIT */
/* Part of test_core_file: the process, with something of all that a core shows. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "image/core.h"
#include "lib/kit.h"
#include "process/procfs.h"
#include "system/twin.h"
#include "tap.h"

struct twin_shared *twin_shared;

char victim_words[] = "words in .data that gdb can print";
static char *victim_heap;

static void victim_vectors(unsigned char first)
{
	unsigned char v[64];

	memset(v, first, sizeof(v));
	__asm__ volatile("movups %0, %%xmm0\n\tmovups %0, %%xmm7\n\tmovups %0, %%xmm15"
			 : : "m"(*(const char(*)[16])v) : "xmm0", "xmm7", "xmm15");
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vmovups %0, %%ymm3" : : "m"(*(const char(*)[32])v) : "xmm3");
}

__attribute__((noinline)) static void victim_deep(int level, long nr)
{
	if (level) {
		victim_deep(level - 1, nr);
	} else if (nr < 0) {
		for (;;)
			__asm__ volatile("" : : : "memory");
	} else {
		long r = nr;

		/* Not through libc, which may use vector registers. */
		__asm__ volatile("syscall" : "+a"(r) : "D"(0), "S"(0), "d"(0), "r"(0L)
				 : "rcx", "r11", "memory");
	}
	__asm__ volatile(""); /* so that the calls above are no jumps */
}

static void *victim_thread(void *arg)
{
	int i = (int)(intptr_t)arg;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, i % 2 ? SIGUSR2 : SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (i == 1)
		pthread_kill(pthread_self(), SIGUSR2); /* stays pending, blocked */
	twin_shared->tids[i] = (pid_t)syscall(SYS_gettid);
	__atomic_add_fetch(&twin_shared->ready, 1, __ATOMIC_SEQ_CST);
	victim_vectors((unsigned char)(0x11 * i));
	victim_deep(i, i == 2 ? -1 : SYS_pause);
	return NULL;
}

static void victim_mappings(void)
{
	char *p = kit_must(mmap(NULL, 40 * 4096, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	int fd = kit_must(open("mapped file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	memset(p + 5 * 4096, 'a', 4096);
	kit_must(madvise(p + 20 * 4096, 4096, MADV_DONTDUMP));
	p[20 * 4096] = 'd';
	kit_must(mprotect(p + 30 * 4096, 4096, PROT_NONE));
	kit_must(ftruncate(fd, 3 * 4096));
	p = kit_must(mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	p[4096] = 's';
	p = kit_must(mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096));
	p[0] = 'p';
	p = kit_must(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	p[1] = 'z';
	victim_heap = malloc(100000);
	memset(victim_heap, 'h', 100000);
	close(fd);
}

__attribute__((noreturn)) void twin_victim(void)
{
	pthread_t thread;
	char c;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	victim_mappings();
	twin_shared->tids[0] = getpid();
	for (intptr_t i = 1; i < TWIN_THREADS; i++)
		if (pthread_create(&thread, NULL, victim_thread, (void *)i))
			_exit(1);
	victim_vectors(0xee);
	if (read(twin_shared->go[0], &c, 1) == 1)
		raise(SIGABRT);
	_exit(2);
}
