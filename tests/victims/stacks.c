/* SPDX-License-Identifier: MIT */
/*
 * Victims that make it hard to find room on a stack, or to call anything:
 *	stacks plain       sleeps and computes by turns; looks at its errno, signal
 *	                   mask and alternate stack
 *	stacks alt         the same in a handler on an alternate stack, mapped
 *	stacks altheap     on one in the middle of the heap
 *	stacks coroutine   on a stack that it made in the middle of the heap
 *	stacks mapped      on one that it mapped, with memory below it
 *	stacks deep        waits where the stack's mapping ends
 *	stacks pause       in pause(), ended by a timer's signal
 *	stacks subreaper   plain, and orphans come to it
 *	stacks clones      plain, and has children that end without a signal
 *	stacks dispatch    plain, and its system calls are its own business
 *	stacks allowed     the same, but not those of the C library
 *	stacks poor --n N  plain; as nobody, who may have N processes
 *	stacks uffd --n N  plain; has memory under a userfaultfd, told of forks (N 1)
 *	stacks go --n N    on a stack in the middle of memory, with what Go keeps of a
 *	                   goroutine: it has N bytes
 *	stacks pipe        plain; each round makes a pipe, and sees its end
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "victim.h"

#define MODE_ERRNO 77
#define HEAP_BYTES (64 << 10)    /* below the mmap threshold, so in [heap] */
#define MAPPED_BYTES (1 << 20)
#define STACK_BYTES (32 << 10)
#define PATTERN 0x5a

static stack_t alt;              /* as the kernel says */
static uint64_t mask;
/* Memory around a stack that must stay as it is. */
static unsigned char *below, *above;
static size_t below_len, above_len;

/* ------------------------------------------------------------- the rounds */

static void round_expect(void)
{
	sigaltstack(NULL, &alt);
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
}

static void round_look(void)
{
	uint64_t now = 0;
	stack_t s;
	size_t i;

	if (errno != MODE_ERRNO)
		victim_error("errno is %d", errno);
	sigaltstack(NULL, &s);
	if (s.ss_sp != alt.ss_sp || s.ss_flags != alt.ss_flags || s.ss_size != alt.ss_size)
		victim_error("the alternate stack is %p, %d, %zu", s.ss_sp, s.ss_flags, s.ss_size);
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8);
	if (now != mask)
		victim_error("the signal mask is %llx", (unsigned long long)now);
	for (i = 0; i < below_len; i++)
		if (below[i] != PATTERN)
			victim_error("byte %zu below the stack is 0x%02x", i, below[i]);
	for (i = 0; i < above_len; i++)
		if (above[i] != PATTERN)
			victim_error("byte %zu above the stack is 0x%02x", i, above[i]);
}

static void round_once(void)
{
	struct timespec t = { .tv_nsec = 2000000 };
	uint64_t until;
	double sum = 0;
	int i, r;

	errno = MODE_ERRNO;
	r = (int)syscall(SYS_nanosleep, &t, NULL);
	if (r != 0)
		victim_error("nanosleep: %s", strerror(errno));
	until = victim_now_ns() + 1000000;
	do {
		for (i = 1, sum = 0; i < 200; i++)
			sum += 1.0 / i;
	} while (victim_now_ns() < until);
	if (sum < 5.87303 || sum > 5.87304)
		victim_error("the sum is %.9f", sum);
	round_look();
	victim_round();
}

static _Noreturn void rounds(void)
{
	round_expect();
	victim_ready();
	for (;;)
		round_once();
}

/* ---------------------------------------------------------------- stacks */

static void handler(int sig)
{
	(void)sig;
	rounds();
}

static void on_altstack(void *sp, size_t len)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	stack_t s = { .ss_sp = sp, .ss_size = len };

	if (sigaltstack(&s, NULL) != 0)
		victim_die("sigaltstack");
	sigaction(SIGUSR1, &act, NULL);
	raise(SIGUSR1);
}

/* A stack in the middle of an allocation, all else filled with the pattern. */
static void *middle(unsigned char *p, size_t len)
{
	if (!p || p == MAP_FAILED)
		victim_die("memory");
	memset(p, PATTERN, len);
	below = p;
	below_len = (len - STACK_BYTES) / 2 & ~(size_t)4095;
	above = p + below_len + STACK_BYTES;
	above_len = len - below_len - STACK_BYTES;
	return p + below_len;
}

static void *map_bytes(size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void mode_plain(void)
{
	rounds();
}

static void mode_alt(void)
{
	on_altstack(map_bytes(STACK_BYTES), STACK_BYTES);
}

static void mode_altheap(void)
{
	on_altstack(middle(malloc(HEAP_BYTES), HEAP_BYTES), STACK_BYTES);
}

static void on_coroutine(void *sp, size_t len)
{
	static ucontext_t here, there;

	getcontext(&there);
	there.uc_stack.ss_sp = sp;
	there.uc_stack.ss_size = len;
	there.uc_link = &here;
	makecontext(&there, rounds, 0);
	swapcontext(&here, &there);
}

static void mode_coroutine(void)
{
	/* Little is left below. */
	on_coroutine(middle(malloc(HEAP_BYTES), HEAP_BYTES), 6000);
}

static void mode_mapped(void)
{
	on_coroutine(middle(map_bytes(MAPPED_BYTES), MAPPED_BYTES), 6000);
}

/* Where the mapping of this stack begins. */
static uint64_t deep_start(void)
{
	unsigned long start, end;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "[stack]") && sscanf(line, "%lx-%lx", &start, &end) == 2) {
			fclose(f);
			return start;
		}
	victim_die("no [stack]");
}

static void mode_deep(void)
{
	struct timespec t = { .tv_nsec = 3000000 };
	uint64_t low;
	long r;

	victim_ready();
	for (;;) {
		low = deep_start() + 256;
		__asm__ volatile("mov %%rsp, %%r12\n\tmov %[low], %%rsp\n\tsyscall\n\t"
				 "mov %%r12, %%rsp"
				 : "=a"(r)
				 : "0"(SYS_nanosleep), "D"(&t), "S"(NULL), [low] "r"(low)
				 : "r12", "rcx", "r11", "memory");
		if (r != 0)
			victim_error("nanosleep: %ld", r);
		victim_round();
	}
}

static volatile uint64_t ticks;

static void tick(int sig)
{
	(void)sig;
	ticks++;
}

static void mode_pause(void)
{
	struct itimerval every = { { 0, 4000 }, { 0, 4000 } };

	signal(SIGALRM, tick);
	setitimer(ITIMER_REAL, &every, NULL);
	victim_ready();
	for (;;) {
		uint64_t before = ticks;

		if (pause() != -1 || errno != EINTR)
			victim_error("pause came back otherwise");
		if (ticks == before)
			victim_error("pause came back without a signal");
		victim_round();
	}
}

/* ------------------------------------------------------- what is around it */

static void mode_subreaper(void)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		victim_die("prctl");
	rounds();
}

static void mode_clones(void)
{
	for (int i = 0; i < 2; i++) {
		long pid = syscall(SYS_clone, i == 0 ? 0 : SIGUSR2, NULL, NULL, NULL, 0);

		if (pid < 0)
			victim_die("clone");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			prctl(PR_SET_NAME, "clones-child");
			for (;;)
				syscall(SYS_pause);
		}
		report->child = (uint64_t)pid;
	}
	rounds();
}

static uint64_t amount;

static void mode_poor(void)
{
	struct rlimit limit = { amount, amount };

	if (setrlimit(RLIMIT_NPROC, &limit) != 0 || setresgid(65533, 65533, 65533) != 0 ||
	    setresuid(65533, 65533, 65533) != 0)
		victim_die("another user");
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* is forgotten with the user */
	rounds();
}

static volatile char selector; /* SYSCALL_DISPATCH_FILTER_ALLOW */

static void mode_dispatch(void)
{
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) != 0)
		victim_die("syscall user dispatch");
	rounds();
}

static void mode_allowed(void)
{
	unsigned long start, end;
	char line[512], how[5];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "/libc") &&
		    sscanf(line, "%lx-%lx %4s", &start, &end, how) == 3 && how[2] == 'x') {
			fclose(f);
			if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, start,
				  end - start, &selector) != 0)
				victim_die("syscall user dispatch");
			rounds();
		}
	victim_die("no C library");
}

static void mode_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = amount ? UFFD_FEATURE_EVENT_FORK : 0 };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	reg.range.start = (uint64_t)(uintptr_t)map_bytes(MAPPED_BYTES);
	reg.range.len = MAPPED_BYTES;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0 || ioctl(fd, UFFDIO_REGISTER, &reg) != 0)
		victim_die("userfaultfd");
	rounds();
}

/* The last of the thread-local storage is what lies right below the thread pointer. */
static __thread volatile uint64_t go_slot[2];

static void mode_go(void)
{
	static uint64_t g[2];
	unsigned char *sp = middle(map_bytes(MAPPED_BYTES), MAPPED_BYTES);

	if ((uint64_t)(uintptr_t)&go_slot[1] != (uint64_t)__builtin_thread_pointer() - 8)
		victim_die("thread-local storage");
	g[0] = (uint64_t)(uintptr_t)sp + STACK_BYTES - amount;
	g[1] = (uint64_t)(uintptr_t)sp + STACK_BYTES;
	go_slot[1] = (uint64_t)(uintptr_t)g;
	on_coroutine(sp, STACK_BYTES);
}

static void mode_pipe(void)
{
	int fd[2];
	char c;

	victim_ready();
	for (;;) {
		uint64_t begin = victim_now_ns();

		if (pipe(fd) != 0)
			victim_die("pipe");
		victim_sleep_ns(2000000);
		close(fd[1]);
		if (read(fd[0], &c, 1) != 0)
			victim_error("a closed pipe has no end");
		close(fd[0]);
		if (victim_now_ns() - begin > report->late_max_ns)
			report->late_max_ns = victim_now_ns() - begin;
		victim_round();
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {
		{ "plain", mode_plain }, { "alt", mode_alt }, { "altheap", mode_altheap },
		{ "coroutine", mode_coroutine }, { "mapped", mode_mapped }, { "deep", mode_deep },
		{ "pause", mode_pause }, { "subreaper", mode_subreaper },
		{ "clones", mode_clones }, { "dispatch", mode_dispatch },
		{ "allowed", mode_allowed }, { "poor", mode_poor }, { "uffd", mode_uffd },
		{ "go", mode_go }, { "pipe", mode_pipe },
	};

	victim_start(&argc, argv);
	amount = victim_option(argc, argv, "--n", 1);
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(*modes); i++)
		if (strcmp(argv[1], modes[i].name) == 0)
			modes[i].run();
	victim_die("which mode?");
}
