/* SPDX-License-Identifier: MIT */
#include "lib/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KIT_ARGS_MAX 32

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KIT_SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KIT_SLOW 1
#endif
#endif
#ifndef KIT_SLOW
#define KIT_SLOW 0
#endif

static uint64_t kit_seed;

void kit_die(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	printf("Bail out! ");
	errno = saved;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(99);
}

static void kit_alarm(int sig)
{
	static const char text[] = "Bail out! the test hangs: its time is up\n";

	(void)sig;
	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(98);
	abort(); /* a core or a debugger's stop shows where */
}

void kit_start(unsigned limit_s)
{
	const char *seed = getenv("DECANT_SEED");
	struct sigaction sa = { .sa_handler = kit_alarm };

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_DFL);
	kit_must(sigaction(SIGALRM, &sa, NULL));
	kit_seed = seed ? strtoull(seed, NULL, 0) : kit_now_ns();
	if (kit_seed == 0)
		kit_seed = 1;
	printf("# DECANT_SEED=%llu\n", (unsigned long long)kit_seed);
	kit_limit(limit_s);
}

void kit_limit(unsigned limit_s)
{
	const char *slow = getenv("TAP_SLOW");

	if (kit_full())
		limit_s *= 20;
	if (slow && atoi(slow) > 1)
		limit_s *= (unsigned)atoi(slow);
	alarm(limit_s);
}

uint64_t kit_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void kit_sleep_ms(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

bool kit_full(void)
{
	const char *s = getenv("DECANT_TEST_FULL");

	return s && strcmp(s, "1") == 0;
}

bool kit_refusal_is_right(const char *why)
{
	static const char *const reasons[] = {
		"this engine runs without io_uring",
		"stays within one file system",
		"the file system does not share blocks",
		"could not be tried now",
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strstr(why, reasons[i]))
			return true;
	return false;
}

bool kit_wanted(const char *name)
{
	const char *s = getenv("DECANT_TEST_ONLY");

	return !s || strstr(name, s);
}

bool kit_slow_build(void)
{
	return KIT_SLOW || getenv("TAP_SLOW");
}

uint64_t kit_random(void)
{
	kit_seed ^= kit_seed << 13;
	kit_seed ^= kit_seed >> 7;
	kit_seed ^= kit_seed << 17;
	return kit_seed;
}

/* Between fork and exec only what is safe after a fork of a threaded program. */
static pid_t kit_spawn(int netns_fd, int out_fd, char *const argv[])
{
	pid_t pid = kit_must(fork());

	if (pid > 0)
		return pid;
	alarm(60);
	if (netns_fd >= 0 && setns(netns_fd, CLONE_NEWNET) < 0)
		_exit(126);
	dup2(out_fd, 1);
	dup2(out_fd, 2);
	execvp(argv[0], argv);
	_exit(127);
}

static int kit_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			kit_die("waitpid: %m");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int kit_run_in(int netns_fd, char *const argv[])
{
	int out = kit_must(memfd_create("output", MFD_CLOEXEC));
	int status = kit_wait(kit_spawn(netns_fd, out, argv));
	char line[512];
	ssize_t n = pread(out, line, sizeof(line) - 1, 0);

	if (status && n > 0) {
		line[n] = '\0';
		printf("# %s: status %d: %s\n", argv[0], status, line);
	}
	close(out);
	return status;
}

int kit_run(char *const argv[])
{
	return kit_run_in(-1, argv);
}

static void kit_split(char *text, char *argv[KIT_ARGS_MAX])
{
	char *state = NULL;
	unsigned n = 0;

	for (char *s = strtok_r(text, " ", &state); s; s = strtok_r(NULL, " ", &state)) {
		if (n == KIT_ARGS_MAX - 1)
			kit_die("too many arguments: %s", text);
		argv[n++] = s;
	}
	argv[n] = NULL;
}

void kit_sh(const char *fmt, ...)
{
	char text[512], *argv[KIT_ARGS_MAX];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	kit_split(text, argv);
	status = kit_run(argv);
	if (status)
		kit_die("%s: exit status %d", argv[0], status);
}

bool kit_line(char *ret, size_t size, const char *fmt, ...)
{
	char text[512], *argv[KIT_ARGS_MAX];
	int out = kit_must(memfd_create("output", MFD_CLOEXEC));
	va_list ap;
	ssize_t n;
	bool ok;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	kit_split(text, argv);
	ok = kit_wait(kit_spawn(-1, out, argv)) == 0;
	n = pread(out, ret, size - 1, 0);
	close(out);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return ok;
}

void kit_write_all(int fd, const void *data, uint64_t len, int64_t offset)
{
	for (uint64_t done = 0; done < len;) {
		ssize_t n = offset < 0 ? write(fd, (const char *)data + done, len - done)
				       : pwrite(fd, (const char *)data + done, len - done,
						offset + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			kit_die("write of %llu bytes: %m", (unsigned long long)(len - done));
		done += (uint64_t)n;
	}
}

uint64_t kit_read_all(int fd, void *data, uint64_t len, int64_t offset)
{
	uint64_t done = 0;

	while (done < len) {
		ssize_t n = offset < 0 ? read(fd, (char *)data + done, len - done)
				       : pread(fd, (char *)data + done, len - done,
					       offset + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			kit_die("read of %llu bytes: %m", (unsigned long long)(len - done));
		if (n == 0)
			break;
		done += (uint64_t)n;
	}
	return done;
}

int kit_scratch(int flags)
{
	return kit_must(open("/tmp", O_TMPFILE | O_RDWR | flags, 0600));
}

unsigned kit_fds_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

uint64_t kit_status(const char *key)
{
	FILE *f = fopen("/proc/self/status", "re");
	size_t n = strlen(key);
	uint64_t ret = 0;
	char line[256];

	if (!f)
		kit_die("/proc/self/status: %m");
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, key, n) == 0 && line[n] == ':')
			ret = strtoull(line + n + 1, NULL, 10);
	fclose(f);
	return ret;
}

#ifdef __SANITIZE_THREAD__
/*
 * liburing maps its rings by system calls of its own, unseen by
 * ThreadSanitizer, which takes a ring for what was at its address before.
 */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:io_uring_\nrace:uring_reap\nrace:uring_prepare\n";
}
#endif
