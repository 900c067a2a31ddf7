/* SPDX-License-Identifier: MIT */
/*
 * In a dumper (CRIU): the processes that it takes over keep their filter.  It
 * would suspend it, and the calls that its parasite makes inside of them would
 * run as the kernel has them, seen by nobody.  Only where the filter of a
 * supervisor of ours is the only one: under others the parasite may not do what
 * it has to.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>

#include "policy/board.h"
#include "raw.h"
#include "shim.h"

#define DUMPER_SUSPEND 0x200000ul       /* PTRACE_O_SUSPEND_SECCOMP */
#define DUMPER_GET_FILTER 0x420c        /* PTRACE_SECCOMP_GET_FILTER */

/* Of shared->victims, as this process sees them. */
static struct {
	const struct board *board;
	uint64_t before;                /* calls, when we came */
} dumper_view[SHARED_VICTIMS];

struct dumper_status {
	pid_t tgid, ppid;
	unsigned mode, filters;
};

static unsigned dumper_number(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? (unsigned)strtoul(at + strlen(name), NULL, 10) : 0;
}

static bool dumper_status(pid_t tid, struct dumper_status *ret)
{
	char path[32] = "/proc/", number[12], text[4096], *to = path + 6;
	unsigned left = (unsigned)tid, n = 0;
	long fd, got;

	do {
		number[n++] = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	while (n)
		*to++ = number[--n];
	memcpy(to, "/status", 8);
	fd = raw4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	got = raw3(SYS_read, fd, text, sizeof(text) - 1);
	(void)raw1(SYS_close, fd);
	if (got <= 0)
		return false;
	text[got] = '\0';
	ret->tgid = (pid_t)dumper_number(text, "\nTgid:");
	ret->ppid = (pid_t)dumper_number(text, "\nPPid:");
	ret->mode = dumper_number(text, "\nSeccomp:");
	ret->filters = dumper_number(text, "\nSeccomp_filters:");
	return true;
}

/* ------------------------------------------------------------------ victims */

/* Index, or -1: there is no room. */
static int dumper_victim(pid_t pid, bool make)
{
	uint32_t n = __atomic_load_n(&shim.shared->victims_n, __ATOMIC_ACQUIRE);
	struct shared_victim *v = shim.shared->victims;

	for (uint32_t i = 0; i < n && i < SHARED_VICTIMS; i++)
		if (v[i].pid == pid)
			return (int)i;
	if (!make)
		return -1;
	n = __atomic_fetch_add(&shim.shared->victims_n, 1, __ATOMIC_ACQ_REL);
	if (n >= SHARED_VICTIMS)
		return -1;
	v[n].pid = pid;
	return (int)n;
}

static void dumper_say(int victim, enum shared_sight sight, unsigned filters)
{
	if (victim < 0)
		return;
	shim.shared->victims[victim].filters = filters;
	__atomic_store_n(&shim.shared->victims[victim].sight, sight, __ATOMIC_RELEASE);
}

/* Children of the dumper's own are what it tries things with. */
static void dumper_seized(pid_t tid)
{
	struct dumper_status st;

	if (!dumper_status(tid, &st) || st.tgid != tid ||
	    st.ppid == (pid_t)raw1(SYS_getpid, 0))
		return;
	dumper_say(dumper_victim(tid, true), st.mode == 0 ? SIGHT_NO_FILTER : SIGHT_SUSPENDED,
		   st.filters);
}

/* The board's numbers come from the victim's filter: nothing but a board is taken. */
static const struct board *dumper_map(pid_t pid, int fd)
{
	long pidfd = raw2(SYS_pidfd_open, pid, 0), ours = -1, p = -1;
	const struct board *b = NULL;
	struct stat st;

	if (pidfd >= 0)
		ours = raw3(SYS_pidfd_getfd, pidfd, fd, 0);
	if (ours >= 0 && raw2(SYS_fstat, ours, &st) == 0 && st.st_size == sizeof(*b) &&
	    raw2(SYS_fcntl, ours, F_GET_SEALS) > 0 &&
	    (raw2(SYS_fcntl, ours, F_GET_SEALS) & F_SEAL_SHRINK))
		p = raw(SYS_mmap, 0, sizeof(*b), PROT_READ, MAP_SHARED, ours, 0);
	if (p > 0)
		b = (const struct board *)p;
	if (b && b->magic != BOARD_MAGIC) {
		(void)raw2(SYS_munmap, p, sizeof(*b));
		b = NULL;
	}
	(void)raw1(SYS_close, ours);
	(void)raw1(SYS_close, pidfd);
	return b;
}

/* The one filter is ours, and somebody answers it. */
static bool dumper_is_ours(pid_t tid, int victim)
{
	long n = raw4(SYS_ptrace, DUMPER_GET_FILTER, tid, 0, 0), p;
	size_t size = (size_t)(n > 0 ? n : 0) * sizeof(struct sock_filter);
	const struct board *board = NULL;
	pid_t pid;
	int fd;

	if (n <= 0 || n > BPF_MAXINSNS)
		return false;
	p = raw(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	if (p <= 0 && p > -4096)
		return false;
	if (raw4(SYS_ptrace, DUMPER_GET_FILTER, tid, 0, p) == n &&
	    board_find((const struct sock_filter *)p, (unsigned)n, &pid, &fd)) {
		if (victim >= 0 && dumper_view[victim].board)
			board = dumper_view[victim].board;
		else
			board = dumper_map(pid, fd);
	}
	(void)raw2(SYS_munmap, p, size);
	if (board && victim >= 0 && !dumper_view[victim].board) {
		dumper_view[victim].before =
			board_count(board, shim.shared->victims[victim].pid);
		dumper_view[victim].board = board;
	}
	return board;
}

/* What the options of a victim's thread are to be. */
static unsigned long dumper_options(pid_t tid, unsigned long options)
{
	struct dumper_status st;
	int victim;

	if (!(options & DUMPER_SUSPEND) || !dumper_status(tid, &st) ||
	    st.ppid == (pid_t)raw1(SYS_getpid, 0))
		return options;
	victim = dumper_victim(st.tgid, true);
	if (victim < 0)
		return options;
	if (st.filters != 1) {
		dumper_say(victim, st.filters ? SIGHT_MORE_FILTERS : SIGHT_NO_FILTER, st.filters);
		return options;
	}
	if (!dumper_is_ours(tid, victim)) {
		dumper_say(victim, SIGHT_NOT_OURS, st.filters);
		return options;
	}
	if (st.tgid == tid)
		dumper_say(victim, SIGHT_CAUGHT, st.filters);
	return options & ~DUMPER_SUSPEND;
}

/* After any request: by the last one the parasite has made all its calls. */
static void dumper_count(pid_t pid)
{
	int victim = dumper_victim(pid, false);

	if (victim >= 0 && dumper_view[victim].board)
		__atomic_store_n(&shim.shared->victims[victim].calls,
				 board_count(dumper_view[victim].board, pid) -
					 dumper_view[victim].before,
				 __ATOMIC_RELEASE);
}

SHIM_EXPORT long ptrace(enum __ptrace_request request, ...)
{
	bool ours;
	va_list ap;
	pid_t pid;
	void *addr, *data;
	long r;

	va_start(ap, request);
	pid = va_arg(ap, pid_t);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);
	if (!shim.on)
		shim_start();
	ours = shim.on && shim.shared && shim.shared->dumper;
	if (ours && request == PTRACE_SETOPTIONS)
		data = (void *)dumper_options(pid, (unsigned long)data);
	if (!shim.next.ptrace) {
		errno = ENOSYS;
		return -1;
	}
	r = shim.next.ptrace(request, pid, addr, data);
	if (ours && r == 0 && request == PTRACE_SEIZE)
		dumper_seized(pid);
	if (ours && request != PTRACE_TRACEME)
		dumper_count(pid);
	return r;
}
