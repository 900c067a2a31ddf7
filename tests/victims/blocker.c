/* SPDX-License-Identifier: MIT */
/*
 * A victim that blocks in one system call again and again, and looks at what
 * each gave and how long it took.
 *	blocker CALL [--ms N]
 * CALL is a name of one of the two tables, or "list".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blocker.h"
#include "victim.h"

struct block block = { .fd = { -1, -1 }, .id = -1 };

int block_wrong(const char *call, long got, int error)
{
	if (error == EINTR) {
		__atomic_fetch_add(&report->eintr, 1, __ATOMIC_RELAXED);
		return -1;
	}
	victim_error("%s gave %ld, %s", call, got, strerror(error));
	return -1;
}

struct timespec block_time(void)
{
	return (struct timespec){ .tv_sec = (time_t)(block.wait_ns / 1000000000),
				  .tv_nsec = (long)(block.wait_ns % 1000000000) };
}

int block_ms(void)
{
	return (int)(block.wait_ns / 1000000);
}

static const struct blocker *blocker_in(const struct blocker *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

static const struct blocker *blocker_find(const char *name)
{
	const struct blocker *b = blocker_in(blockers_timed, name);

	return b ? b : blocker_in(blockers_woken, name);
}

static void blocker_list(const struct blocker *table)
{
	for (; table->name; table++)
		puts(table->name);
}

/* Some calls count in clock ticks or jiffies, or round to milliseconds. */
#define EARLY_NS 1000000

static _Noreturn void blocker_loop(const struct blocker *b)
{
	uint64_t begin, took;
	int r;

	for (;;) {
		begin = victim_now_ns();
		r = b->once();
		took = victim_now_ns() - begin;
		if (b->timed && r == 0 && took + EARLY_NS < block.wait_ns)
			victim_error("%s came back after %llu of %llu us", b->name,
				     (unsigned long long)took / 1000,
				     (unsigned long long)block.wait_ns / 1000);
		if (b->timed && took > block.wait_ns && took - block.wait_ns > report->late_max_ns)
			report->late_max_ns = took - block.wait_ns;
		victim_round();
	}
}

/* System V objects outlive who made them: a second process takes them away. */
static void blocker_undertaker(const struct blocker *b)
{
	int life[2];
	char c;

	if (!b->end)
		return;
	if (pipe2(life, O_CLOEXEC) != 0)
		victim_die("pipe");
	switch (fork()) {
	case -1:
		victim_die("fork");
	case 0:
		if (fork() != 0)
			_exit(0);
		prctl(PR_SET_NAME, "undertaker");
		close(life[1]);
		close(1);
		close(2);
		while (read(life[0], &c, 1) < 0)
			;
		b->end();
		_exit(0);
	default:
		wait(NULL);
		close(life[0]);
	}
}

int main(int argc, char **argv)
{
	const struct blocker *b = argc > 1 ? blocker_find(argv[1]) : NULL;

	if (argc > 1 && strcmp(argv[1], "list") == 0) {
		blocker_list(blockers_timed);
		blocker_list(blockers_woken);
		return 0;
	}
	victim_start(&argc, argv);
	block.wait_ns = victim_option(argc, argv, "--ms", 20) * 1000000;
	if (!b)
		victim_die("which call? (\"list\" lists them)");
	if (b->setup)
		b->setup();
	blocker_undertaker(b);
	victim_ready();
	blocker_loop(b);
}
