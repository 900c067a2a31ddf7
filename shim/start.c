/* SPDX-License-Identifier: MIT */
/* What the environment says, the shared memory, and what libc has itself. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "raw.h"
#include "shim.h"

struct shim shim = { .program = SHARED_PROGRAMS };

/* 0: not yet, 1: some thread is at it, 2: done. */
static uint32_t start_state;

static struct shared *start_map(int fd)
{
	struct shared *s;
	struct stat st;
	long p;

	if (raw2(SYS_fstat, fd, &st) < 0 || st.st_size != sizeof(*s))
		return NULL;
	p = raw(SYS_mmap, 0, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p < 0 && p > -4096)
		return NULL;
	s = (struct shared *)p;
	if (s->magic == SHARED_MAGIC && s->version == SHARED_VERSION &&
	    s->size_bytes == sizeof(*s))
		return s;
	(void)raw2(SYS_munmap, s, sizeof(*s));
	return NULL;
}

static struct shared *start_find(const char *path)
{
	long fd = raw4(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	struct shared *s = NULL;

	if (fd >= 0) {
		s = start_map((int)fd);
		(void)raw1(SYS_close, fd);
	}
	return s;
}

static void start_program(struct shared *s)
{
	uint32_t i = __atomic_fetch_add(&s->programs_n, 1, __ATOMIC_RELAXED);
	struct shared_program *p;
	long len;

	if (i >= SHARED_PROGRAMS)
		return;
	p = &s->programs[i];
	p->pid = (int32_t)raw1(SYS_getpid, 0);
	len = raw4(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", p->exe, sizeof(p->exe) - 1);
	p->exe[len > 0 ? len : 0] = '\0';
	__atomic_store_n(&p->ready, 1, __ATOMIC_RELEASE);
	shim.program = i;
}

static void start_memory(void)
{
	long p = raw(SYS_mmap, 0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct stat st;
	int fds[2];

	shim.no_access = p < 0 && p > -4096 ? NULL : (void *)p;
	if (raw2(SYS_pipe2, fds, O_CLOEXEC) < 0)
		return;
	if (raw2(SYS_fstat, fds[0], &st) == 0)
		shim.pipe_dev = st.st_dev;
	(void)raw1(SYS_close, fds[0]);
	(void)raw1(SYS_close, fds[1]);
}

/* dlsym() gives an object pointer; POSIX says that it can be a function. */
static void start_next(void *ret_fn, const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	memcpy(ret_fn, &p, sizeof(p));
}

static void start_all(void)
{
	const char *env = getenv(SHARED_ENV), *text = getenv(SHARED_ENV_POLICY);
	struct policy policy;
	Dl_info info;

	if (!text || policy_parse(text, &policy, NULL) < 0)
		return;
	shim.policy = policy;
	shim.shared = env ? start_find(env) : NULL;
	if (shim.shared) {
		shim.counted = shim.shared->counted;
		start_program(shim.shared);
	}
	start_memory();
	start_next(&shim.next.vmsplice, "vmsplice");
	start_next(&shim.next.splice, "splice");
	start_next(&shim.next.tee, "tee");
	start_next(&shim.next.copy_file_range, "copy_file_range");
	start_next(&shim.next.ptrace, "ptrace");
	shim_numbers_start();
	if (dladdr(&shim, &info) && info.dli_fname)
		shim_exec_start(info.dli_fname, env, text);
	shim.on = true;
}

void shim_start(void)
{
	uint32_t not_yet = 0;
	int error = errno;

	if (__atomic_load_n(&start_state, __ATOMIC_ACQUIRE) == 2 ||
	    !__atomic_compare_exchange_n(&start_state, &not_yet, 1, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_ACQUIRE))
		return;
	start_all();
	__atomic_store_n(&start_state, 2, __ATOMIC_RELEASE);
	errno = error;
}

__attribute__((constructor(101))) static void start_constructor(void)
{
	shim_start();
}
