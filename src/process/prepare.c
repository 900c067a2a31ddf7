/* SPDX-License-Identifier: MIT */
#include "process/prepare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "process/arch.h"
#include "process/procfs.h"
#include "process/stack.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define PREPARE_RSEQ_CS 8        /* in struct rseq: the pointer to a critical section */
#define PREPARE_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK)

static bool prepare_read(pid_t pid, uint64_t addr, void *to, size_t len)
{
	struct iovec local = { to, len }, remote = { (void *)(uintptr_t)addr, len };

	return sys_process_vm_readv(pid, &local, 1, &remote, 1) == (ssize_t)len;
}

static bool prepare_write(pid_t pid, uint64_t addr, const void *from, size_t len)
{
	struct iovec local = { (void *)(uintptr_t)from, len };
	struct iovec remote = { (void *)(uintptr_t)addr, len };

	return sys_process_vm_writev(pid, &local, 1, &remote, 1) == (ssize_t)len;
}

/* ----------------------------------------------- what the thread is bound by */

/* A small file of /proc, ended by 0; its length or a negative errno. */
static ssize_t prepare_file(const struct target *t, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = sys_openat(t->proc_fd, name, O_RDONLY | O_CLOEXEC, 0);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = sys_read(fd, buf, size - 1);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

static bool prepare_has_seccomp(const struct target *t, pid_t tid)
{
	struct proc_status st;
	char name[40], text[4096];

	snprintf(name, sizeof(name), "task/%d/status", tid);
	if (prepare_file(t, name, text, sizeof(text)) <= 0 || procfs_parse_status(text, &st) < 0)
		return t->status.seccomp != 0;
	return st.seccomp > 0;
}

/*
 * Filters must let our calls through.  Where they cannot be suspended a filter
 * might kill the target at the first call.
 */
static int prepare_seccomp(struct prepare *p, const struct target *t, struct err *reterr)
{
	pid_t tid = p->thread->tid;
	int r;

	p->options = PREPARE_OPTIONS | (p->seccomp ? PTRACE_O_SUSPEND_SECCOMP : 0);
	r = (int)sys_ptrace(PTRACE_SETOPTIONS, tid, 0, p->options);
	if (r == -EPERM && p->seccomp)
		return err_set(reterr, -EPERM,
			       "PID %d: it has a seccomp filter, and to suspend that takes "
			       "CAP_SYS_ADMIN and no filter of our own", t->pid);
	return r < 0 ? err_errno(reterr, r, "PID %d: ptrace options", t->pid) : 0;
}

/* Our instructions would be handed to the target's own handler of system calls. */
static int prepare_dispatch(const struct prepare *p, const struct target *t,
			    const struct gadgets *g, struct err *reterr)
{
	struct uapi_ptrace_sud sud = { 0 };
	long r = sys_ptrace(UAPI_PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, p->thread->tid,
			    sizeof(sud), (uintptr_t)&sud);

	if (r >= 0 && sud.mode != 0 && !arch_gadgets_within(g, sud.offset, sud.len))
		return err_set(reterr, -ENOTSUP,
			       "PID %d: it handles its system calls itself (syscall user "
			       "dispatch)", t->pid);
	return 0;
}

/*
 * A section of instructions that must not be interrupted half-way (rseq): the
 * kernel forgets about it when the thread returns from a call elsewhere, so it
 * is told again (prepare_undo_rseq), and the frame goes to where the section
 * is begun anew.
 */
static uint64_t prepare_rseq(struct prepare *p)
{
	struct { uint32_t version, flags; uint64_t start, len, abort; } cs;
	struct uapi_ptrace_rseq conf = { 0 };
	const struct stop_thread *thread = p->thread;
	uint64_t section;
	long r = sys_ptrace(UAPI_PTRACE_GET_RSEQ_CONFIGURATION, thread->tid, sizeof(conf),
			    (uintptr_t)&conf);

	if (r < 0 || !conf.rseq_abi_pointer)
		return 0;
	p->rseq_len = conf.rseq_abi_size < sizeof(p->rseq) ? conf.rseq_abi_size : sizeof(p->rseq);
	if (p->rseq_len < PREPARE_RSEQ_CS + sizeof(section) ||
	    !prepare_read(thread->tid, conf.rseq_abi_pointer, p->rseq, p->rseq_len))
		return 0;
	p->rseq_addr = conf.rseq_abi_pointer;
	memcpy(&section, p->rseq + PREPARE_RSEQ_CS, sizeof(section));
	if (!section || !prepare_read(thread->tid, section, &cs, sizeof(cs)))
		return 0;
	return arch_ip(&thread->resume) - cs.start < cs.len ? cs.abort : 0;
}

/* ----------------------------------------------------------- placing it */

/* Only the kernel's own stack grows, and only by a write through /proc. */
static bool prepare_grow(const struct target *t, const struct vma *v, uint64_t addr)
{
	_cleanup_close_ int fd = -1;
	uint64_t zero = 0;

	if (!v || !(v->flags & VMA_STACK) || addr >= v->start)
		return false;
	fd = target_file(t, "mem", O_RDWR);
	return fd >= 0 && sys_pwrite(fd, &zero, sizeof(zero), addr) == (ssize_t)sizeof(zero);
}

/*
 * By process_vm_writev() and nothing else: /proc/PID/mem would write through a
 * guard page as well, and then the frame would lie where nobody can read it.
 */
static int prepare_place(struct prepare *p, const struct target *t, const struct vma *v)
{
	pid_t tid = p->thread->tid;
	uint64_t addr = p->frame.start;

	if (!prepare_read(tid, addr, p->saved, p->len) &&
	    (!prepare_grow(t, v, addr) || !prepare_read(tid, addr, p->saved, p->len)))
		return -EFAULT;
	p->placed = true;
	if (prepare_write(tid, addr, p->bytes, p->len))
		return 0;
	prepare_undo(p, tid);
	p->placed = false;
	return -EFAULT;
}

static int prepare_memory(struct prepare *p, size_t len)
{
	if (p->bytes && p->len == len)
		return 0;
	free(p->bytes);
	p->len = len;
	p->bytes = sys_malloc(2 * len);
	p->saved = p->bytes ? p->bytes + len : NULL;
	return p->bytes ? 0 : -ENOMEM;
}

/* The frame of this thread, ending at top. */
static int prepare_frame(struct prepare *p, const struct stop *s, const struct maps *m,
			 const struct gadgets *g, uint64_t top)
{
	struct arch_frame_parts parts = {
		.regs = &p->thread->resume,
		.state = &p->state,
		.sigmask = p->thread->sigmask,
		.gadgets = g,
	};
	int r = arch_state_get(p->thread->tid, &p->state);

	if (r < 0)
		return r;
	parts.abort_ip = prepare_rseq(p);
	r = prepare_memory(p, arch_frame_len(&parts));
	if (r == 0)
		r = arch_frame_build(&parts, top, &p->frame, p->bytes, p->len);
	if (r < 0)
		return r;
	return prepare_place(p, s->target, maps_find(m, arch_sp(&p->thread->resume)));
}

/* --------------------------------------------------------------- choosing */

/* All frames of a target have the same length, so one thread tells that of all. */
static size_t prepare_frame_len(struct prepare *p, const struct stop *s, const struct gadgets *g)
{
	struct arch_frame_parts parts = { .state = &p->state, .gadgets = g };

	for (size_t i = 0; i < s->n; i++)
		if (s->threads[i].stopped && !s->threads[i].dead)
			return arch_state_get(s->threads[i].tid, &p->state) < 0 ?
			       0 : arch_frame_len(&parts);
	return 0;
}

static int prepare_any(struct prepare *p, const struct stop *s, const struct maps *m,
		       const struct gadgets *g, size_t frame_len, struct err *reterr)
{
	struct stack_walk walk = { .stop = s, .maps = m, .frame_len = frame_len };
	int r;

	while ((p->thread = stack_next(&walk)) != NULL) {
		r = prepare_frame(p, s, m, g, arch_frame_top(arch_sp(&p->thread->resume)));
		if (r == 0)
			return 0;
		if (r != -EFAULT)
			return err_errno(reterr, r, "thread %d: signal frame", p->thread->tid);
		if (!walk.why)
			walk.why = "no room on the stack";
	}
	return err_set(reterr, -ENOTSUP, "PID %d: no thread has room for a signal frame: %s",
		       s->target->pid, walk.why ? walk.why : "none has stopped");
}

/*
 * A thread whose registers are changed in place has no way back, so the frame
 * only lends it memory for arguments: any that is put back will do.
 */
static int prepare_last_resort(struct prepare *p, const struct stop *s, const struct maps *m,
			       const struct gadgets *g, struct err *reterr)
{
	const uint32_t must = VMA_READ | VMA_WRITE;

	for (size_t i = 0; i < s->n; i++) {
		const struct vma *v = maps_find(m, arch_sp(&s->threads[i].resume));
		uint64_t end;

		p->thread = &s->threads[i];
		if (p->thread->dead || !p->thread->stopped || !v || (v->flags & must) != must)
			continue;
		end = v->end - v->start < ARCH_FRAME_MAX ? v->end : v->start + ARCH_FRAME_MAX;
		if (prepare_frame(p, s, m, g, end) == 0)
			return 0;
	}
	return err_set(reterr, -ENOTSUP, "PID %d: no thread has a usable stack",
		       s->target->pid);
}

static int prepare_may(const struct target *t, const struct gadgets *g, enum call_method method,
		       struct err *reterr)
{
	const char *why = NULL;

	if (!g->syscall_ret)
		why = "its code has no system call that we could use";
	else if (method == CALL_PLAIN)
		return 0;
	else if (!g->sigreturn && !g->pop_ret)
		why = "its code has no way to return from a signal";
	else if (t->status.shadow_stack)
		why = "it uses shadow stacks";
	return why ? err_set(reterr, -ENOTSUP, "PID %d: %s", t->pid, why) : 0;
}

int prepare_thread(struct prepare *p, const struct stop *s, const struct maps *m,
		   const struct gadgets *g, enum call_method method, struct err *reterr)
{
	size_t frame_len;
	int r = prepare_may(s->target, g, method, reterr);

	if (r < 0)
		return r;
	r = arch_state_reserve(&p->state);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: registers", s->target->pid);
	frame_len = prepare_frame_len(p, s, g);
	r = frame_len == 0 ? err_errno(reterr, -ESRCH, "PID %d: registers", s->target->pid) :
			     prepare_any(p, s, m, g, frame_len, reterr);
	if (r == -ENOTSUP && method == CALL_PLAIN)
		r = prepare_last_resort(p, s, m, g, reterr);
	if (r < 0)
		return r;
	p->seccomp = prepare_has_seccomp(s->target, p->thread->tid);
	r = prepare_dispatch(p, s->target, g, reterr);
	if (r == 0)
		r = prepare_seccomp(p, s->target, reterr);
	if (r < 0)
		prepare_undo(p, p->thread->tid);
	return r;
}

void prepare_undo(const struct prepare *p, pid_t pid)
{
	/* Twice: a short count is a fault that a test injects. */
	if (p->placed && !prepare_write(pid, p->frame.start, p->saved, p->len))
		(void)prepare_write(pid, p->frame.start, p->saved, p->len);
}

void prepare_undo_rseq(const struct prepare *p)
{
	if (p->rseq_addr)
		(void)prepare_write(p->thread->tid, p->rseq_addr + PREPARE_RSEQ_CS,
				    p->rseq + PREPARE_RSEQ_CS, sizeof(uint64_t));
}

void prepare_undo_rseq_in(const struct prepare *p, pid_t pid)
{
	if (p->rseq_addr)
		(void)prepare_write(pid, p->rseq_addr, p->rseq, p->rseq_len);
}

void prepare_free(struct prepare *p)
{
	arch_state_free(&p->state);
	free(p->bytes);
}
