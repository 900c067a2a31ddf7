/* SPDX-License-Identifier: MIT */
/*
 * What every test of the kit needs: giving up, time, commands, own namespaces.
 * Not assertions: those are in tap.h; kit_die() is for a broken test machine.
 */
#ifndef LIB_KIT_H
#define LIB_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* "Bail out! what" and exit: the machine cannot run this test. */
void kit_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A libc call that must not fail: its result, else kit_die() with errno. */
#define kit_must(call)                                                             \
	({                                                                         \
		__typeof__(call) kit_ret_ = (call);                                \
		if (kit_ret_ == (__typeof__(call))-1)                              \
			kit_die("%s:%d %s: %m", __FILE__, __LINE__, #call);        \
		kit_ret_;                                                          \
	})

/*
 * First thing in main(): line-buffered output, SIGPIPE at its default (the
 * library must not raise it), an alarm that ends a test which hangs.
 */
void kit_start(unsigned limit_s);
/* Put the alarm off: so many seconds more from now. */
void kit_limit(unsigned limit_s);

uint64_t kit_now_ns(void);
void kit_sleep_ms(unsigned ms);

/* DECANT_TEST_FULL=1: the whole product instead of a covering part. */
bool kit_full(void);
/*
 * DECANT_TEST_ONLY=text: only cases whose name contains it.  kit_case() is
 * tap_case_arg() for those and does nothing for the others.
 */
bool kit_wanted(const char *name);
/*
 * A route was refused because of what was asked for (no ring in the threads'
 * backend, two file systems, one that shares no blocks), not for lack of
 * anything on this machine: that is a right answer and no skip.
 */
bool kit_refusal_is_right(const char *why);
#define kit_case(run, arg, ...)                                    \
	do {                                                       \
		char kit_name_[200];                               \
		snprintf(kit_name_, sizeof(kit_name_), __VA_ARGS__); \
		if (kit_wanted(kit_name_))                         \
			tap_case_arg(run, arg, "%s", kit_name_);   \
	} while (0)
/* Built with a sanitizer (or under valgrind): everything takes longer. */
bool kit_slow_build(void);

/* Run a program, output thrown away unless it fails; its exit status. */
int kit_run(char *const argv[]);
/* The same inside a network namespace. */
int kit_run_in(int netns_fd, char *const argv[]);
/* "a b c" split at blanks, no quoting; dies when it fails. */
void kit_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* First line that a command prints, without the newline; false if it failed. */
bool kit_line(char *ret, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Write or read all of it at an offset (-1: stream), or die. */
void kit_write_all(int fd, const void *data, uint64_t len, int64_t offset);
uint64_t kit_read_all(int fd, void *data, uint64_t len, int64_t offset);

/* A file in /tmp that has no name, opened with these flags besides, or die. */
int kit_scratch(int flags);
/* Descriptors that are open, below 256; none is opened for it. */
unsigned kit_fds_open(void);

/* A line of a /proc/self/status-like file, in its unit; 0 when not there. */
uint64_t kit_status(const char *key);

/* xorshift; the seed is printed by kit_start() and taken from $DECANT_SEED. */
uint64_t kit_random(void);

#endif
