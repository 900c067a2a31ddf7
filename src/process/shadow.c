/* SPDX-License-Identifier: MIT */
#include "process/shadow.h"

#include <errno.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "process/step.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define SHADOW_OOM_SCORE "1000"

/* ---------------------------------------------------------------- making */

/* Is the target the init of its pid namespace? */
static int shadow_of_init(struct call *c, const struct target *of, bool *ret, struct err *reterr)
{
	const uint64_t none[6] = { 0 };
	int64_t got = of->status.ns_pid;
	/* With a dead leader, what /proc says is another thread's. */
	int r = of->leader_dead ? call_do(c, SYS_getpid, none, &got, reterr) : 0;

	*ret = got == 1;
	return r;
}

/*
 * Where an orphan goes: to the target itself, if that is what it is for.  An
 * orphan's end is seen by its new parent, so there must be none.
 */
static int shadow_adopts(struct call *c, const struct target *of, bool *ret, struct err *reterr)
{
	const uint64_t args[6] = { PR_GET_CHILD_SUBREAPER, call_scratch(c) };
	uint32_t is = 0;
	struct iovec local = { &is, sizeof(is) };
	struct iovec remote = { (void *)(uintptr_t)call_scratch(c), sizeof(is) };
	int64_t got = 0;
	int r = shadow_of_init(c, of, ret, reterr);

	if (r < 0 || *ret)
		return r;
	r = call_do(c, SYS_prctl, args, &got, reterr);
	if (r < 0)
		return r;
	if (got == 0)
		got = sys_process_vm_readv(call_thread(c)->tid, &local, 1, &remote, 1);
	if (got != (int64_t)sizeof(is))
		return err_errno(reterr, got < 0 ? (int)got : -EFAULT,
				 "PID %d: is it a subreaper?", of->pid);
	*ret = is != 0;
	return 0;
}

/* A child stands at its birth; from now on it cannot outlive the tracer. */
static int shadow_hold(struct call *c, pid_t child, struct arch_regs *ret)
{
	int r = step_trap(child);

	if (r == 0)
		r = (int)sys_ptrace(PTRACE_SETOPTIONS, child, 0,
				    call_options(c) | PTRACE_O_EXITKILL);
	return r < 0 ? r : arch_regs_get(child, ret);
}

/*
 * It shares the target's descriptors for a moment, so that it never had copies
 * of its own: a connection that the target closes must not stay open by them.
 */
static int shadow_drop_files(struct shadow *s, struct err *reterr)
{
	const uint64_t all[6] = { 0, UINT32_MAX, CLOSE_RANGE_UNSHARE };
	const uint64_t files[6] = { CLONE_FILES };
	int64_t got;
	int r = shadow_do(s, SYS_close_range, all, &got, reterr);

	if (r == 0 && got == -ENOSYS) /* before Linux 5.9: copies, then */
		r = shadow_do(s, SYS_unshare, files, &got, reterr);
	if (r < 0)
		return r;
	return got < 0 ? err_errno(reterr, (int)got, "shadow: descriptors") : 0;
}

/*
 * The middle one makes the shadow, which so is no child of the target, and
 * inherits that it ends with the tracer.
 */
static int shadow_from_middle(struct shadow *s, struct call *c, pid_t middle, struct err *reterr)
{
	const uint64_t args[6] = { CLONE_FILES, call_child_sp(c) };
	struct arch_regs regs;
	int64_t got = 0;
	int r = shadow_hold(c, middle, &regs);

	if (r == 0)
		r = step_plain(middle, &regs, call_gadgets(c), call_child_sp(c), SYS_clone, args,
			       &got, &s->pid);
	if (r < 0 || got < 0)
		return err_errno(reterr, r < 0 ? r : (int)got, "shadow");
	r = step_trap(s->pid);
	if (r == 0)
		r = arch_regs_get(s->pid, &s->regs);
	if (r < 0)
		return err_errno(reterr, r, "shadow");
	return shadow_drop_files(s, reterr);
}

static int shadow_double(struct shadow *s, struct call *c, struct err *reterr)
{
	/* The target does not go on before it is gone, by one means or the other. */
	const uint64_t flags = CLONE_VM | CLONE_FILES | CLONE_FS |
			       (call_can_reap(c) ? 0 : CLONE_VFORK);
	struct err ignored;
	pid_t middle = 0;
	int64_t got;
	int r = call_clone(c, flags, &middle, &got, reterr), reaped;

	if (r < 0)
		return r;
	if (got < 0)
		return err_errno(reterr, (int)got, "shadow");
	r = shadow_from_middle(s, c, middle, reterr);
	step_kill(middle);
	reaped = call_clone_end(c, &got, r < 0 ? &ignored : reterr);
	if (reaped == 0 && got > 0)
		reaped = call_reap(c, (pid_t)got, r < 0 ? &ignored : reterr);
	return r < 0 ? r : reaped;
}

static int shadow_direct(struct shadow *s, struct call *c, struct err *reterr)
{
	struct err ignored;
	int64_t got;
	int r = call_clone(c, CLONE_FILES, &s->pid, &got, reterr), end;

	if (r < 0)
		return r;
	if (got < 0)
		return err_errno(reterr, (int)got, "shadow");
	r = shadow_hold(c, s->pid, &s->regs);
	if (r < 0)
		(void)err_errno(reterr, r, "shadow");
	else
		r = shadow_drop_files(s, reterr);
	end = call_clone_end(c, &got, r < 0 ? &ignored : reterr);
	if (end == 0 && got > 0)
		s->ns_pid = (pid_t)got;
	return r < 0 ? r : end;
}

int shadow_make(struct shadow *ret, struct call *c, struct err *reterr)
{
	const struct target *of = call_target(c);
	struct shadow s = { .gadgets = *call_gadgets(c) };
	uint64_t begin;
	bool direct;
	int r = shadow_adopts(c, of, &direct, reterr);

	if (r < 0)
		return r;
	s.target.pidfd = s.target.proc_fd = s.target.task_fd = -1;
	s.target.mem_fd = s.target.pagemap_fd = -1;
	begin = sys_clock_ns();
	r = direct ? shadow_direct(&s, c, reterr) : shadow_double(&s, c, reterr);
	s.clone_ns = sys_clock_ns() - begin;
	if (r < 0) {
		shadow_kill(&s);
		return r;
	}
	call_undo_in(c, s.pid);
	*ret = s;
	return 0;
}

/* ----------------------------------------------------------------- opening */

static int shadow_open_files(struct target *t)
{
	char name[40];

	t->pidfd = sys_pidfd_open(t->pid, 0);
	if (t->pidfd < 0)
		return t->pidfd;
	snprintf(name, sizeof(name), "/proc/%d", t->pid);
	t->proc_fd = sys_open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (t->proc_fd < 0)
		return t->proc_fd;
	snprintf(name, sizeof(name), "task/%d", t->pid);
	t->task_fd = sys_openat(t->proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (t->task_fd < 0)
		return t->task_fd;
	t->mem_fd = target_file(t, "mem", O_RDONLY);
	if (t->mem_fd < 0)
		return t->mem_fd;
	t->pagemap_fd = target_file(t, "pagemap", O_RDONLY);
	return t->pagemap_fd < 0 ? t->pagemap_fd : 0;
}

/* If memory runs out it is the shadow that has to go. */
static void shadow_offer(const struct target *t)
{
	_cleanup_close_ int fd = sys_openat(t->proc_fd, "oom_score_adj", O_WRONLY | O_CLOEXEC, 0);

	if (fd >= 0)
		(void)sys_write(fd, SHADOW_OOM_SCORE, strlen(SHADOW_OOM_SCORE));
}

int shadow_open(struct shadow *s, const struct target *of, struct err *reterr)
{
	struct target *t = &s->target;
	int r;

	t->pid = t->live = s->pid;
	t->caps = of->caps;
	t->status = of->status;
	t->stat = of->stat;
	t->status.pid = t->status.tgid = s->pid;
	t->status.threads = 1;
	r = shadow_open_files(t);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: shadow", of->pid);
	shadow_offer(t);
	return 0;
}

/* ------------------------------------------------------------------- using */

int shadow_do(struct shadow *s, long nr, const uint64_t args[6], int64_t *ret, struct err *reterr)
{
	int r = step_plain(s->pid, &s->regs, &s->gadgets, 0, nr, args, ret, NULL);

	return r < 0 ? err_errno(reterr, r, "shadow: system call") : 0;
}

int shadow_scratch(struct shadow *s, uint64_t len, uint64_t *ret_addr, struct err *reterr)
{
	const uint64_t args[6] = { 0, len, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0 };
	int64_t got;
	int r;

	if (len > s->scratch_len) {
		r = shadow_do(s, SYS_mmap, args, &got, reterr);
		if (r < 0)
			return r;
		if (got < 0 && got > -4096)
			return err_errno(reterr, (int)got, "shadow: memory");
		s->scratch = (uint64_t)got;
		s->scratch_len = len;
	}
	*ret_addr = s->scratch;
	return 0;
}

/* ------------------------------------------------------------------- ending */

void shadow_kill(struct shadow *s)
{
	struct target *t = &s->target;

	if (!s->pid)
		return;
	(void)sys_close(t->pagemap_fd);
	(void)sys_close(t->mem_fd);
	(void)sys_close(t->task_fd);
	(void)sys_close(t->proc_fd);
	(void)sys_close(t->pidfd);
	t->pagemap_fd = t->mem_fd = t->task_fd = t->proc_fd = t->pidfd = -1;
	step_kill(s->pid);
	s->pid = 0;
}

int shadow_reap(struct shadow *s, struct call *c, struct err *reterr)
{
	int r = 0;

	if (s->ns_pid && !s->pid)
		r = call_reap(c, s->ns_pid, reterr);
	if (r == -ECHILD)
		r = 0;
	if (r == 0)
		s->ns_pid = 0;
	return r;
}
