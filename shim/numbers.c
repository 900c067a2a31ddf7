/* SPDX-License-Identifier: MIT */
/* Calls that are made by number, and rings. */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "raw.h"
#include "shim.h"

struct io_uring;
struct io_uring_params;

/* -------------------------------------------------------------- io_uring */

/* 0, or the errno that a ring is refused with. */
static int number_ring(const void *ip)
{
	struct shim_call c;

	if (!shim.on)
		shim_start();
	if (!shim.on)
		return 0;
	if (shim.shared)
		(void)__atomic_fetch_add(&shim.shared->rings, 1, __ATOMIC_RELAXED);
	shim_begin(&c, CALL_IO_URING_SETUP, ip);
	c.verdict = policy_decide(&shim.policy, &c.event);
	shim_count(&c, 0, c.verdict.action == ACTION_FAIL ? -c.verdict.error : 0);
	return c.verdict.action == ACTION_FAIL ? c.verdict.error : 0;
}

/* liburing makes its system calls by itself: it is met one step earlier. */
SHIM_EXPORT int io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
					   struct io_uring_params *p);
SHIM_EXPORT int io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
					   struct io_uring_params *p)
{
	int (*next)(unsigned, struct io_uring *, struct io_uring_params *);
	void *found = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
	int refused = number_ring(__builtin_return_address(0));

	memcpy(&next, &found, sizeof(next));
	return refused ? -refused : found ? next(entries, ring, p) : -ENOSYS;
}

SHIM_EXPORT int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
SHIM_EXPORT int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	int (*next)(unsigned, struct io_uring *, unsigned);
	void *found = dlsym(RTLD_NEXT, "io_uring_queue_init");
	int refused = number_ring(__builtin_return_address(0));

	memcpy(&next, &found, sizeof(next));
	return refused ? -refused : found ? next(entries, ring, flags) : -ENOSYS;
}

/* --------------------------------------------------------------- syscall */

#if defined(__x86_64__)
/*
 * All other numbers go on to libc's syscall() with stack and registers as they
 * are: some of them return twice, or on another stack.
 */
long number_syscall(long nr, long a, long b, long c, long d, long e, long f);
long number_early(long nr, long a, long b, long c, long d, long e, long f);
long (*number_next)(long nr, long a, long b, long c, long d, long e, long f) = number_early;

__asm__(".text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	"syscall:\n"
	"	cmpq	$40, %rdi\n"	/* sendfile */
	"	je	number_syscall\n"
	"	cmpq	$275, %rdi\n"	/* splice, tee */
	"	jb	1f\n"
	"	cmpq	$278, %rdi\n"	/* (277: sync_file_range), vmsplice */
	"	jbe	number_syscall\n"
	"	cmpq	$326, %rdi\n"	/* copy_file_range */
	"	je	number_syscall\n"
	"	cmpq	$425, %rdi\n"	/* io_uring_setup */
	"	je	number_syscall\n"
	"1:	jmp	*number_next(%rip)\n"
	".size syscall, . - syscall\n");
_Static_assert(SYS_sendfile == 40 && SYS_splice == 275 && SYS_tee == 276 &&
	       SYS_vmsplice == 278 && SYS_copy_file_range == 326 && SYS_io_uring_setup == 425,
	       "numbers of system calls");

long number_early(long nr, long a, long b, long c, long d, long e, long f)
{
	return shim_return(raw(nr, a, b, c, d, e, f));
}

long number_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	const void *ip = __builtin_return_address(0);
	int refused;

	switch (nr) {
	case SYS_vmsplice:
		return shim_return(shim_vmsplice((int)a, (const struct iovec *)b, (size_t)c,
						 (unsigned)d, ip));
	case SYS_splice:
		return shim_return(shim_splice((int)a, (int64_t *)b, (int)c, (int64_t *)d,
					       (size_t)e, (unsigned)f, ip));
	case SYS_tee:
		return shim_return(shim_tee((int)a, (int)b, (size_t)c, (unsigned)d, ip));
	case SYS_sendfile:
		return shim_return(shim_sendfile((int)a, (int)b, (int64_t *)c, (size_t)d, ip));
	case SYS_copy_file_range:
		return shim_return(shim_range((int)a, (int64_t *)b, (int)c, (int64_t *)d,
					      (size_t)e, (unsigned)f, ip));
	case SYS_io_uring_setup:
		refused = number_ring(ip);
		if (refused)
			return shim_return(-refused);
		break;
	default:
		break;
	}
	return number_early(nr, a, b, c, d, e, f);
}

void shim_numbers_start(void)
{
	void *found = dlsym(RTLD_NEXT, "syscall");

	if (found)
		memcpy(&number_next, &found, sizeof(found));
}
#else
void shim_numbers_start(void)
{
}
#endif
