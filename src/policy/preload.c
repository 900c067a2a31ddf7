/* SPDX-License-Identifier: MIT */
/*
 * Mechanism preload: the parent's part of shim/.  The child gets the library by
 * its environment and the memory that it counts in; nobody supervises it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "policy/mechanism.h"
#include "policy/report.h"
#include "policy/shared.h"
#include "policy/victims.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "sys/trace.h"

#ifndef DECANT_SHIM_DIR
#define DECANT_SHIM_DIR "../lib/decant" /* as seen from the program's folder */
#endif

#define PRELOAD_ADDED 3 /* variables of ours */

struct preload {
	struct shared *shared;
	int fd;
	char library[4096 + 64];  /* "LD_PRELOAD=..." */
	char where[64];           /* "DECANT_SHIM=..." */
	char policy[128];         /* "DECANT_SHIM_POLICY=..." */
	const char **envp;
};

static int preload_fits(const struct policy *p, bool counted, const struct program *program,
			struct err *reterr)
{
	(void)counted;
	(void)p;
	if (!program->elf)
		return 0; /* a script: its interpreter is looked at by the shim of nobody */
	if (program->is_32bit)
		return err_set(reterr, -ENOTSUP, "preload: %s is a 32-bit program", program->path);
	if (program->is_static)
		return err_set(reterr, -ENOTSUP, "preload: %s is linked statically",
			       program->path);
	if (program->setuid)
		return err_set(reterr, -ENOTSUP,
			       "preload: %s changes its user or has capabilities: the loader "
			       "ignores LD_PRELOAD", program->path);
	return 0;
}

/* ------------------------------------------------------------ where it is */

static int preload_try(const char *dir, size_t dir_len, const char *below, char *ret, size_t size)
{
	struct stat st;
	int n;

	if (below[0] == '/')
		dir_len = 0;
	n = snprintf(ret, size, "LD_PRELOAD=%.*s%s%s/%s", (int)dir_len, dir, dir_len ? "/" : "",
		     below, SHARED_LIBRARY);
	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	return sys_stat(strchr(ret, '=') + 1, &st);
}

/* Beside the program: in the build tree, or where both are installed. */
static int preload_find(char *ret, size_t size, struct err *reterr)
{
	static const char *const below[] = { "shim", "../shim", "../../shim", DECANT_SHIM_DIR };
	char self[4096];
	ssize_t len = sys_readlink("/proc/self/exe", self, sizeof(self));
	const char *slash = len < 0 ? NULL : strrchr(self, '/');

	for (size_t i = 0; slash && i < sizeof(below) / sizeof(below[0]); i++)
		if (preload_try(self, (size_t)(slash - self), below[i], ret, size) == 0)
			return 0;
	return err_set(reterr, -ENOENT, "preload: %s is not where it was installed",
		       SHARED_LIBRARY);
}

/* ------------------------------------------------------------ environment */

static bool preload_is(const char *entry, const char *name)
{
	size_t len = strlen(name);

	return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

/* The caller's, ours in front; what it preloads itself comes after. */
static int preload_env(struct supervise *s, struct preload *p, struct err *reterr)
{
	size_t n = 0, at = 0;

	while (s->envp && s->envp[n])
		n++;
	p->envp = sys_calloc(n + PRELOAD_ADDED + 1, sizeof(*p->envp));
	if (!p->envp)
		return err_set(reterr, -ENOMEM, "out of memory");
	p->envp[at++] = p->library;
	p->envp[at++] = p->where;
	p->envp[at++] = p->policy;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(p->library);

		if (preload_is(s->envp[i], SHARED_ENV) || preload_is(s->envp[i], SHARED_ENV_POLICY))
			continue;
		if (!preload_is(s->envp[i], "LD_PRELOAD")) {
			p->envp[at++] = s->envp[i];
			continue;
		}
		(void)snprintf(p->library + len, sizeof(p->library) - len, ":%s",
			       strchr(s->envp[i], '=') + 1);
	}
	s->envp = p->envp;
	return 0;
}

static int preload_memory(struct supervise *s, struct preload *p, struct err *reterr)
{
	void *map;
	int r;

	p->fd = sys_memfd_create("decant-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (p->fd < 0)
		return err_errno(reterr, p->fd, "memfd");
	r = sys_ftruncate(p->fd, sizeof(*p->shared));
	if (r >= 0) /* the program may write to it: what is not there is a SIGBUS of ours */
		r = sys_addseals(p->fd, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (r < 0)
		return err_errno(reterr, r, "memfd");
	r = sys_mmap(&map, NULL, sizeof(*p->shared), PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	if (r < 0)
		return err_errno(reterr, r, "memfd");
	p->shared = map;
	p->shared->magic = SHARED_MAGIC;
	p->shared->version = SHARED_VERSION;
	p->shared->size_bytes = sizeof(*p->shared);
	p->shared->policy = s->policy;
	p->shared->counted = s->counted;
	p->shared->dumper = s->dumper;
	return 0;
}

static int preload_begin(struct supervise *s, struct err *reterr)
{
	struct preload *p = sys_calloc(1, sizeof(*p));
	char text[64];
	int r;

	if (!p)
		return err_set(reterr, -ENOMEM, "out of memory");
	s->private = p;
	p->fd = -1;
	r = preload_find(p->library, sizeof(p->library), reterr);
	if (r == 0)
		r = preload_memory(s, p, reterr);
	if (r < 0)
		return r;
	policy_text(&s->policy, text, sizeof(text));
	(void)snprintf(p->where, sizeof(p->where), "%s=/proc/%d/fd/%d", SHARED_ENV,
		       (int)sys_getpid(), p->fd);
	(void)snprintf(p->policy, sizeof(p->policy), "%s=%s", SHARED_ENV_POLICY, text);
	return preload_env(s, p, reterr);
}

/* ----------------------------------------------------------------- the run */

static int preload_child(struct supervise *s)
{
	(void)s;
	return 0;
}

static int preload_run(struct supervise *s, struct ended *ret, struct err *reterr)
{
	struct preload *p = s->private;
	int failed = child_ran(s, reterr), r;

	do {
		r = sys_waitpid(s->pid, &ret->status, 0);
	} while (r == -EINTR);
	if (failed < 0 || r < 0)
		return failed < 0 ? failed : err_errno(reterr, r, "wait");
	/* A dumper that failed by itself says so. */
	return s->dumper && ret->status == 0 ? victims_judge(s->report, p->shared, reterr) : 0;
}

/* ------------------------------------------------------- what was counted */

/*
 * All of it is the program's, and who is left of it may still write: it is
 * copied first, then looked at.  Texts end where they have to.
 */
#define PRELOAD_TEXT(field) preload_text((field), sizeof(field))
static const char *preload_text(char *text, size_t size)
{
	text[size - 1] = '\0';
	return text;
}

/* One reading, not one for each use: no compiler may look at the source again. */
static void preload_copy(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	__asm__ volatile("" : : "r"(to) : "memory");
}

static void preload_site(struct supervise *s, const struct shared *m, uint32_t i)
{
	struct shared_site site;
	struct shared_program program;

	preload_copy(&site, &m->sites[i], sizeof(site));
	if (site.program >= SHARED_PROGRAMS || site.call >= CALL_MAX || !site.counts.calls)
		return;
	preload_copy(&program, &m->programs[site.program], sizeof(program));
	report_add(s->report, program.pid, PRELOAD_TEXT(program.exe), (enum policy_call)site.call,
		   PRELOAD_TEXT(site.module), site.offset, PRELOAD_TEXT(site.symbol),
		   &site.counts);
}

static void preload_sites(struct supervise *s, const struct shared *m)
{
	uint32_t n = __atomic_load_n(&m->sites_n, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n && i < SHARED_SITES; i++)
		if (__atomic_load_n(&m->sites[i].ready, __ATOMIC_ACQUIRE))
			preload_site(s, m, i);
}

/* Nobody is there to look while the bytes are in the pipe. */
static void preload_unwatched(struct supervise *s, const struct shared *m)
{
	uint32_t n = __atomic_load_n(&m->sites_n, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n && i < SHARED_SITES && s->policy.vmsplice <= POLICY_WARN; i++)
		if (__atomic_load_n(&m->sites[i].ready, __ATOMIC_ACQUIRE) &&
		    m->sites[i].call == CALL_VMSPLICE && m->sites[i].counts.calls) {
			report_hole(s->report, "whether buffers are changed after vmsplice: "
				    "preload does not look for that, trace and notify do");
			return;
		}
}

static void preload_holes(struct supervise *s, const struct shared *m)
{
	static const char *const whys[HOLE_MAX] = {
		[HOLE_STATIC] = "is linked statically",
		[HOLE_32BIT] = "is a 32-bit program",
		[HOLE_SETUID] = "changes its user or has capabilities",
	};

	for (uint32_t i = 0; i < SHARED_HOLES; i++) {
		struct shared_hole hole;

		if (!__atomic_load_n(&m->holes[i].ready, __ATOMIC_ACQUIRE))
			continue;
		preload_copy(&hole, &m->holes[i], sizeof(hole));
		if (hole.why < HOLE_MAX)
			report_hole(s->report, "%s %s: the preloaded library is not in it, its "
				    "calls ran as the kernel has them and were not seen",
				    PRELOAD_TEXT(hole.exe), whys[hole.why]);
	}
	if (m->holes_n > SHARED_HOLES)
		report_hole(s->report, "more programs than are listed here were without the "
			    "preloaded library");
	if (m->rings)
		report_hole(s->report, "io_uring was set up %llu times: what goes through a ring "
			    "is not seen", (unsigned long long)m->rings);
	if (m->dropped_calls)
		report_hole(s->report, "%llu calls had no room to be counted in",
			    (unsigned long long)m->dropped_calls);
}

static void preload_images(struct supervise *s, const struct shared *m)
{
	uint32_t n = __atomic_load_n(&m->programs_n, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n && i < SHARED_PROGRAMS; i++)
		if (__atomic_load_n(&m->programs[i].ready, __ATOMIC_ACQUIRE)) {
			struct shared_program program;

			preload_copy(&program, &m->programs[i], sizeof(program));
			report_image(s->report, PRELOAD_TEXT(program.exe));
		}
	if (n == 0)
		report_hole(s->report, "the preloaded library was never loaded: nothing was seen");
	else
		report_note(s->report, "preload sees calls of libc's functions only: a program "
			    "that makes system calls by itself is not seen");
}

static void preload_end(struct supervise *s)
{
	struct preload *p = s->private;

	if (!p)
		return;
	if (p->shared) {
		if (s->pid > 0) {
			preload_images(s, p->shared);
			preload_sites(s, p->shared);
			preload_holes(s, p->shared);
			preload_unwatched(s, p->shared);
		}
		(void)sys_munmap(p->shared, sizeof(*p->shared));
	}
	if (p->fd >= 0)
		(void)sys_close(p->fd);
	free(p->envp);
	free(p);
	s->private = NULL;
}

const struct mechanism mechanism_preload = {
	.name = "preload",
	.fits = preload_fits,
	.begin = preload_begin,
	.child = preload_child,
	.run = preload_run,
	.end = preload_end,
};
