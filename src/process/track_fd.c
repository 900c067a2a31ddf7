/* SPDX-License-Identifier: MIT */
/*
 * A userfaultfd of the target's memory that was never among its descriptors:
 * our death in between must leave none there.  A child that shares the memory,
 * with a table of descriptors of its own, makes it, hands it over and is gone.
 */
#include <errno.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/syscall.h>

#include "process/call.h"
#include "process/step.h"
#include "process/track_state.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "sys/trace.h"
#include "uapi/userfaultfd.h"

/* In the child, which stands at its birth and never runs a step of its own. */
struct track_child {
	struct call *call;
	pid_t pid;
	struct arch_regs regs;
};

static int track_child_do(const struct track_child *ch, long nr, uint64_t a, uint64_t b,
			  uint64_t c)
{
	const uint64_t args[6] = { a, b, c };
	int64_t got = 0;
	int r = step_plain(ch->pid, &ch->regs, call_gadgets(ch->call), 0, nr, args, &got, NULL);

	return r < 0 ? r : (int)got;
}

static int track_fetch(const struct track_child *ch, int fd)
{
	_cleanup_close_ int pidfd = sys_pidfd_open(ch->pid, 0);

	return pidfd < 0 ? pidfd : sys_pidfd_getfd(pidfd, fd, 0);
}

/* It cannot outlive the tracer; it has no descriptors; it makes one. */
static int track_child_uffd(struct track_child *ch, struct err *reterr)
{
	int pid = (int)call_target(ch->call)->pid, r = step_trap(ch->pid);

	if (r == 0)
		r = (int)sys_ptrace(PTRACE_SETOPTIONS, ch->pid, 0,
				    call_options(ch->call) | PTRACE_O_EXITKILL);
	if (r == 0)
		r = arch_regs_get(ch->pid, &ch->regs);
	/* Not copies that are closed with it: that flushes files of some kinds. */
	if (r == 0)
		r = track_child_do(ch, SYS_close_range, 0, UINT32_MAX, CLOSE_RANGE_UNSHARE);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: a child for userfaultfd", pid);
	r = track_child_do(ch, SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY, 0, 0);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: userfaultfd in a child of it", pid);
	r = track_fetch(ch, r);
	return r < 0 ? err_errno(reterr, r, "PID %d: pidfd_getfd", pid) : r;
}

int track_make_uffd(struct call *call, struct err *reterr)
{
	/* The target does not go on before it is gone, by one means or the other. */
	const uint64_t flags = CLONE_VM | CLONE_FILES | CLONE_FS |
			       (call_can_reap(call) ? 0 : CLONE_VFORK);
	struct track_child ch = { .call = call };
	struct err ignored;
	int64_t got = 0;
	int fd, r = call_clone(call, flags, &ch.pid, &got, reterr);

	if (r < 0)
		return r;
	if (got < 0)
		return err_errno(reterr, (int)got, "PID %d: a child for userfaultfd",
				 (int)call_target(call)->pid);
	fd = track_child_uffd(&ch, reterr);
	step_kill(ch.pid);
	r = call_clone_end(call, &got, fd < 0 ? &ignored : reterr);
	if (r == 0 && got > 0)
		r = call_reap(call, (pid_t)got, fd < 0 ? &ignored : reterr);
	if (r < 0 && fd >= 0)
		(void)sys_close(fd);
	return fd < 0 || r == 0 ? fd : r;
}
