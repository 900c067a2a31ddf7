/* SPDX-License-Identifier: MIT */
/*
 * Processes that count together (family.h).
 *	--processes N    of them, the first is the parent of all (4)
 *	--mib N          private memory of each (1), written in turn
 *	--grandchildren  each is the child of the one before
 *	--cgroup DIR     all go there first
 *	--restless       a child comes and goes all the time
 *	--brood          children come and go that count by themselves for a while
 *	--nap US         between 4096 steps, a write of a page in 64 of them (100)
 */
#include "family.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "victim.h"

#define PAGE 4096u

static volatile struct family_all *all;
static volatile struct family_own *own;
static uint64_t mib, nap_ns;

static void *map_at(uint64_t at, uint64_t len, int flags)
{
	void *p = mmap((void *)(uintptr_t)at, len, PROT_READ | PROT_WRITE,
		       flags | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		victim_die("mmap");
	return p;
}

static void count(unsigned me)
{
	uint64_t a = own->a + 1;

	own->a = a;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	all->count[me] = a;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (unsigned j = 0; j < all->n; j++)
		own->seen[j] = all->count[j];
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	own->b = a;
}

static void write_page(uint64_t i)
{
	unsigned char *memory = (unsigned char *)(uintptr_t)own + PAGE;
	uint64_t pages = own->pages;

	if (i % FAMILY_STEPS == 0 && pages)
		*(volatile uint64_t *)(memory + i / FAMILY_STEPS % pages * PAGE) = i;
}

static void live(unsigned me)
{
	for (uint64_t i = 0;; i++) {
		count(me);
		write_page(i);
		if (i % 4096 == 0) {
			if (me == 0)
				victim_round();
			victim_sleep_ns(nap_ns);
		}
	}
}

static void begin(unsigned me)
{
	own->a = own->b = 0;
	own->me = me;
	all->pids[me] = getpid();
	__atomic_store_n(&all->count[me], 0, __ATOMIC_SEQ_CST);
}

/* Ten at a time, of which nobody else knows. */
static void brood(void)
{
	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "brood");
	(void)signal(SIGCHLD, SIG_IGN);
	for (;; victim_sleep_ns(40000000)) {
		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (uint64_t i = 0; i < 400 * FAMILY_STEPS; i++) {
			own->a = i + 1;
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			own->b = i + 1;
			write_page(i);
			if (i % FAMILY_STEPS == 0)
				victim_sleep_ns(1000000);
		}
		_exit(0);
	}
}

/* Children that do nothing, for a moment each. */
static void restless(void)
{
	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "restless");
	for (;;) {
		pid_t pid = fork();

		if (pid == 0) {
			victim_sleep_ns(3000000);
			_exit(0);
		}
		if (pid > 0)
			(void)waitpid(pid, NULL, 0);
	}
}

static void enter(const char *dir)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		victim_die("the cgroup");
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned n, me = 0;
	bool chain;

	victim_start(&argc, argv);
	n = (unsigned)victim_option(argc, argv, "--processes", 4);
	mib = victim_option(argc, argv, "--mib", 1);
	nap_ns = victim_option(argc, argv, "--nap", 100) * 1000;
	chain = victim_flag(argc, argv, "--grandchildren");
	if (victim_text(argc, argv, "--cgroup", NULL))
		enter(victim_text(argc, argv, "--cgroup", NULL));
	if (n < 1 || n > FAMILY_MAX)
		victim_die("--processes");
	all = map_at(FAMILY_ALL, PAGE, MAP_SHARED);
	own = map_at(FAMILY_OWN, PAGE + (mib << 20), MAP_PRIVATE);
	all->n = n;
	own->pages = (mib << 20) / PAGE;
	for (unsigned i = 1; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			victim_die("fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			prctl(PR_SET_NAME, "family");
			me = i;
		}
		if ((pid == 0) != chain)
			break;
	}
	begin(me);
	if (me == 0) {
		for (unsigned i = 0; i < n; i++)
			while (__atomic_load_n(&all->pids[i], __ATOMIC_SEQ_CST) == 0)
				victim_sleep_ns(1000000);
		if (victim_flag(argc, argv, "--restless"))
			restless();
		if (victim_flag(argc, argv, "--brood"))
			brood();
		victim_ready();
	}
	live(me);
}
