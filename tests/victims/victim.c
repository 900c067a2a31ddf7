/* SPDX-License-Identifier: MIT */
#include "victim.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct report *report;
static pid_t victim_pid;

_Noreturn void victim_die(const char *what)
{
	fprintf(stderr, "victim: %s: %s\n", what, strerror(errno));
	exit(9);
}

static void victim_map(int fd)
{
	int flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
	void *p;

	if (fd < 0)
		flags |= MAP_ANONYMOUS;
	p = mmap((void *)REPORT_ADDR, REPORT_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (p != (void *)REPORT_ADDR)
		victim_die("the report");
	if (fd >= 0)
		close(fd);
	report = p;
	report->magic = REPORT_MAGIC;
}

/* The outer process only waits, and ends as the inner one does. */
static void victim_as_init(void)
{
	int status = 0;
	pid_t pid;

	if (unshare(CLONE_NEWPID) != 0)
		victim_die("a pid namespace");
	pid = fork();
	if (pid < 0)
		victim_die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Nobody may take the outer process for the victim. */
		while (!*(volatile int32_t *)&report->host_pid)
			usleep(100);
		return;
	}
	report->host_pid = pid;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void victim_mount_ns(void)
{
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0 ||
	    mount("none", "/tmp", "tmpfs", 0, NULL) != 0)
		victim_die("a mount namespace");
}

const char *victim_text(int argc, char **argv, const char *name, const char *otherwise)
{
	int i;

	for (i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	return otherwise;
}

uint64_t victim_option(int argc, char **argv, const char *name, uint64_t otherwise)
{
	const char *text = victim_text(argc, argv, name, NULL);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

bool victim_flag(int argc, char **argv, const char *name)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return false;
}

void victim_start(int *argc, char **argv)
{
	const char *name = victim_text(*argc, argv, "--name", NULL);

	if (victim_flag(*argc, argv, "--help")) {
		puts("runs until it is killed; its options are said in its source");
		exit(0);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	victim_map((int)victim_option(*argc, argv, "--report-fd", UINT64_MAX));
	if (victim_flag(*argc, argv, "--mount-ns"))
		victim_mount_ns();
	if (victim_flag(*argc, argv, "--as-init"))
		victim_as_init();
	if (name)
		prctl(PR_SET_NAME, name);
	victim_pid = (pid_t)syscall(SYS_getpid);
}

void victim_ready(void)
{
	__atomic_store_n(&report->ready, 1, __ATOMIC_RELEASE);
}

void victim_error(const char *fmt, ...)
{
	va_list ap;

	if (__atomic_fetch_add(&report->errors, 1, __ATOMIC_RELAXED) != 0)
		return;
	va_start(ap, fmt);
	vsnprintf(report->what, sizeof(report->what), fmt, ap);
	va_end(ap);
}

void victim_round(void)
{
	if ((pid_t)syscall(SYS_getpid) != victim_pid) {
		__atomic_fetch_add(&report->foreign, 1, __ATOMIC_RELAXED);
		for (;;)
			pause();
	}
	__atomic_fetch_add(&report->rounds, 1, __ATOMIC_RELAXED);
}

uint64_t victim_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Until that time by the clock, whatever interrupts it. */
void victim_sleep_ns(uint64_t ns)
{
	uint64_t until = victim_now_ns() + ns;
	struct timespec t = { .tv_sec = (time_t)(until / 1000000000),
			      .tv_nsec = (long)(until % 1000000000) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}
