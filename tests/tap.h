/* SPDX-License-Identifier: MIT */
/*
 * Test points in TAP, and cases that run in a process of their own.
 * Not a framework: a test is a main() that calls these in order.
 *
 *	int main(void)
 *	{
 *		is_int(add(1, 2), 3, "sums are right");
 *		tap_case("a crash or a hang fails this case only", crash);
 *		return done();
 *	}
 *
 * Outside of a case every check is a point.  Inside, the case is the point:
 * its checks are silent until one fails, and helper processes that it forks
 * may check too.  All state is in memory shared with those, and the header may
 * be included by several files of one test.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TAP_TEXT_MAX 240
#define TAP_PRINTF(f, a) __attribute__((unused, format(printf, f, a)))

struct tap {
	int points, failed;      /* of the whole test */
	int planned;             /* 0: done() prints the plan */
	int case_failed;         /* checks of the case that runs */
	char case_skip[TAP_TEXT_MAX];
};

/* Weak, so that the files of one test share them. */
__attribute__((weak)) struct tap *tap_shared;
__attribute__((weak)) bool tap_in_case;
__attribute__((weak)) int tap_case_seconds = 20;
/* LeakSanitizer's, where it is linked in. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

__attribute__((constructor, unused)) static void tap_init_(void)
{
	void *p;

	if (tap_shared)
		return;
	p = mmap(NULL, sizeof(*tap_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		 0);
	if (p == MAP_FAILED)
		abort();
	tap_shared = p;
	/* Whole lines, so that processes do not cut each other's. */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
}

/* A comment for whoever reads the log. */
TAP_PRINTF(1, 2) static void diag(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("# %s\n", text);
}

static inline void tap_point_(bool good, const char *name, const char *skip_why)
{
	int n = __atomic_add_fetch(&tap_shared->points, 1, __ATOMIC_RELAXED);

	if (!good)
		__atomic_add_fetch(&tap_shared->failed, 1, __ATOMIC_RELAXED);
	if (skip_why)
		printf("ok %d - %s # SKIP %s\n", n, name, skip_why);
	else
		printf("%sok %d - %s\n", good ? "" : "not ", n, name);
}

TAP_PRINTF(4, 5)
static bool tap_check_(bool good, const char *file, int line, const char *fmt, ...)
{
	char name[TAP_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	if (!tap_in_case)
		tap_point_(good, name, NULL);
	else if (!good)
		__atomic_add_fetch(&tap_shared->case_failed, 1, __ATOMIC_RELAXED);
	if (!good)
		diag("%s:%d: failed: %s", file, line, name);
	return good;
}

static inline bool tap_int_(intmax_t got, intmax_t want)
{
	const char *err = got < 0 && got > -4096 ? strerrorname_np((int)-got) : NULL;

	if (got != want)
		diag("got %jd%s%s, wanted %jd", got, err ? " = -" : "", err ? err : "", want);
	return got == want;
}

static inline bool tap_str_(const char *got, const char *want)
{
	bool same = got && want ? strcmp(got, want) == 0 : got == want;

	if (!same)
		diag("got \"%s\", wanted \"%s\"", got ? got : "(null)", want ? want : "(null)");
	return same;
}

static inline bool tap_mem_(const void *got, const void *want, size_t len)
{
	const unsigned char *a = got, *b = want;
	size_t i;

	if (len == 0 || memcmp(a, b, len) == 0)
		return true;
	for (i = 0; a[i] == b[i];)
		i++;
	diag("first difference at byte %zu of %zu: got 0x%02x, wanted 0x%02x", i, len, a[i], b[i]);
	return false;
}

/* The checks.  Each takes a printf-like name last and says whether it held. */
#define ok(cond, ...) tap_check_(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...) ok(tap_int_((intmax_t)(got), (intmax_t)(want)), __VA_ARGS__)
#define is_str(got, want, ...) ok(tap_str_(got, want), __VA_ARGS__)
#define is_mem(got, want, len, ...) ok(tap_mem_(got, want, len), __VA_ARGS__)

static inline void tap_end_(int status)
{
	fflush(NULL);
	_exit(status);
}

/* Nothing more makes sense: ends the case as failed, or the whole test. */
TAP_PRINTF(1, 2) __attribute__((noreturn)) static void bail(const char *fmt, ...)
{
	char why[TAP_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (tap_in_case)
		diag("gave up: %s", why);
	else
		printf("Bail out! %s\n", why);
	tap_end_(1);
	abort();
}

/* What the rest stands on: a check that ends the case (or the test) if false. */
#define need(cond, ...)                                                   \
	do {                                                              \
		if (!(cond)) {                                            \
			diag("%s:%d: %s (errno %s)", __FILE__, __LINE__, \
			     #cond, strerrorname_np(errno));              \
			bail(__VA_ARGS__);                                \
		}                                                         \
	} while (0)

/* Skip: inside a case it ends it; outside it is one point. */
TAP_PRINTF(1, 2) static void skip(const char *fmt, ...)
{
	char why[TAP_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (!tap_in_case) {
		tap_point_(true, "skipped", why);
		return;
	}
	memcpy(tap_shared->case_skip, why, sizeof(why));
	tap_end_(0);
}

/* The whole test cannot run here; before any point. */
TAP_PRINTF(1, 2) static void skip_all(const char *fmt, ...)
{
	char why[TAP_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	printf("1..0 # SKIP %s\n", why);
	tap_end_(0);
}

static inline void need_root(void)
{
	if (geteuid() != 0)
		skip_all("needs root");
}

/* Say in advance how many points there will be; optional. */
static inline void plan(int points)
{
	tap_shared->planned = points;
	printf("1..%d\n", points);
}

/* The end of main(): return done(); */
static inline int done(void)
{
	if (!tap_shared->planned)
		printf("1..%d\n", tap_shared->points);
	fflush(stdout);
	return tap_shared->failed ||
	       (tap_shared->planned && tap_shared->planned != tap_shared->points);
}

static inline int tap_case_ms_(void)
{
	const char *slow = getenv("TAP_SLOW"); /* sanitizers, valgrind: times slower */
	int factor = slow ? atoi(slow) : 1;

	return tap_case_seconds * 1000 * (factor > 0 ? factor : 1);
}

static inline void tap_case_child_(void (*fn)(const void *), const void *arg)
{
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	tap_in_case = true;
	fn(arg);
	if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check()) {
		diag("the case leaks memory");
		tap_end_(1);
	}
	tap_end_(0);
}

/*
 * waitpid() with a limit; SIGCHLD is blocked and ends a wait early.  (Not by a
 * pidfd, which valgrind does not know.)
 */
static inline bool tap_case_ended_(pid_t pid, int *status, int limit_ms)
{
	struct timespec now, step = { .tv_nsec = 100000000 };
	int64_t until_ms = 0, now_ms;
	sigset_t chld;

	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	for (;;) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		now_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
		if (until_ms == 0)
			until_ms = now_ms + limit_ms;
		if (now_ms >= until_ms)
			return false;
		(void)sigtimedwait(&chld, NULL, &step);
	}
}

/* Wait for the case; its whole process group is gone afterwards. */
static inline bool tap_case_wait_(pid_t pid, int limit_ms)
{
	int status = 0;
	bool ended = tap_case_ended_(pid, &status, limit_ms);

	(void)kill(-pid, SIGKILL);
	if (!ended) {
		diag("still running after %d ms: killed", limit_ms);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return false;
	}
	if (WIFSIGNALED(status))
		diag("died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		diag("exit status %d", WEXITSTATUS(status));
	return status == 0;
}

/* Run fn(arg) as one point, in a process of its own, tap_case_seconds at most. */
TAP_PRINTF(3, 4)
static bool tap_case_arg(void (*fn)(const void *), const void *arg, const char *fmt, ...)
{
	char name[TAP_TEXT_MAX];
	sigset_t chld, before;
	va_list ap;
	pid_t pid;
	bool good;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	tap_shared->case_failed = 0;
	tap_shared->case_skip[0] = '\0';
	fflush(NULL);
	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &chld, &before);
	pid = fork();
	if (pid < 0)
		bail("fork: %s", strerror(errno));
	if (pid == 0) {
		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		tap_case_child_(fn, arg);
	}
	(void)setpgid(pid, pid);
	good = tap_case_wait_(pid, tap_case_ms_()) && tap_shared->case_failed == 0;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	tap_point_(good, name, good && tap_shared->case_skip[0] ? tap_shared->case_skip : NULL);
	return good;
}

struct tap_plain_ {
	void (*fn)(void);
};

static inline void tap_call_(const void *arg)
{
	((const struct tap_plain_ *)arg)->fn();
}

static inline bool tap_case(const char *name, void (*fn)(void))
{
	return tap_case_arg(tap_call_, &(struct tap_plain_){ fn }, "%s", name);
}

#endif
