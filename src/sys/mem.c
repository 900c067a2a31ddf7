/* SPDX-License-Identifier: MIT */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/sys.h"
#include "sys/wrap.h"
#include "uapi/cachestat.h"

/* -------------------------------------------------------------- the heap */

void *sys_malloc(size_t len)
{
	return sys_fault("malloc") ? NULL : malloc(len ? len : 1);
}

void *sys_calloc(size_t n, size_t len)
{
	return sys_fault("calloc") ? NULL : calloc(n ? n : 1, len ? len : 1);
}

void *sys_realloc(void *p, size_t len)
{
	return sys_fault("realloc") ? NULL : realloc(p, len ? len : 1);
}

void *sys_aligned_alloc(size_t align, size_t len)
{
	void *p;

	if (sys_fault("aligned_alloc") || posix_memalign(&p, align, len ? len : 1))
		return NULL;
	return p;
}

char *sys_strdup(const char *s)
{
	return sys_fault("strdup") ? NULL : strdup(s);
}

/* -------------------------------------------------------------- mappings */

int sys_mmap(void **ret, void *addr, size_t len, int prot, int flags, int fd, uint64_t off)
{
	int r = sys_fault("mmap");
	void *p;

	if (r < 0)
		return r;
	p = mmap(addr, len, prot, flags, fd, (off_t)off);
	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

int sys_munmap(void *addr, size_t len)
{
	return WRAP_AFTER("munmap", munmap(addr, len));
}

int sys_madvise(void *addr, size_t len, int advice)
{
	return WRAP_RETRY("madvise", madvise(addr, len, advice));
}

int sys_mincore(void *addr, size_t len, unsigned char *vec)
{
	return WRAP_RETRY("mincore", mincore(addr, len, vec));
}

int sys_cachestat(int fd, struct cachestat_range *range, struct cachestat *ret, unsigned flags)
{
	return WRAP_RETRY("cachestat", (int)syscall(SYS_cachestat, fd, range, ret, flags));
}

int sys_getrlimit(int resource, struct rlimit *ret)
{
	return WRAP_RETRY("getrlimit", getrlimit((__rlimit_resource_t)resource, ret));
}

/* --------------------------------------------------------------- threads */

pid_t sys_getpid(void)
{
	return getpid();
}

unsigned sys_cpus(void)
{
	cpu_set_t set;
	long n;

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	n = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than a cpu_set_t holds */
	return n > 0 ? (unsigned)n : 1;
}

/* Of <linux/sched/types.h>, whose struct sched_param is libc's too. */
struct mem_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
#define MEM_SCHED_KEEP_POLICY 0x08

int sys_yield_thread(int nice, uint64_t slice_ns)
{
	/* "Process" 0 is the calling thread: priorities are per thread on Linux. */
	int now = getpriority(PRIO_PROCESS, 0);
	struct mem_sched_attr a = {
		.size = sizeof(a), .flags = MEM_SCHED_KEEP_POLICY,
		.nice = nice > now ? nice : now, .runtime = slice_ns,
	};

	return WRAP_ONCE("sched_setattr", (int)syscall(SYS_sched_setattr, 0, &a, 0));
}

struct thread_start {
	char name[16];
	void *(*run)(void *);
	void *arg;
};

/*
 * A thread names itself: named by another, libc would open a file of /proc
 * for that, which a program that is executed meanwhile inherits.
 */
static void *thread_main(void *arg)
{
	struct thread_start s = *(struct thread_start *)arg;

	free(arg);
	if (s.name[0])
		(void)prctl(PR_SET_NAME, s.name); /* a nicety of ps */
	return s.run(s.arg);
}

int sys_thread_create(pthread_t *ret, const char *name, void *(*run)(void *), void *arg)
{
	struct thread_start *s;
	sigset_t all, old;
	pthread_t thread;
	int r = sys_fault("thread_create");

	if (r < 0)
		return r;
	s = malloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct thread_start){ .run = run, .arg = arg };
	(void)snprintf(s->name, sizeof(s->name), "%s", name ? name : "");
	(void)sigfillset(&all);
	r = pthread_sigmask(SIG_SETMASK, &all, &old);
	if (r == 0) {
		r = pthread_create(&thread, NULL, thread_main, s);
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (r) {
		free(s);
		return -r;
	}
	*ret = thread;
	return 0;
}

int sys_thread_join(pthread_t thread)
{
	int r = -pthread_join(thread, NULL);

	return r < 0 ? r : sys_fault("thread_join");
}
