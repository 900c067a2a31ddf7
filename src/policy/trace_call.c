/* SPDX-License-Identifier: MIT */
/*
 * One call of a traced thread: at its entry it is left alone, answered or
 * turned into another; at its end the registers are made those of the call
 * that the program made.
 *
 * What the kernel returns to say "make the call again" after a signal
 * (-ERESTARTSYS) then makes that call again: it is caught anew, and nothing
 * was moved.
 */
#include <errno.h>
#include <string.h>

#include "policy/report.h"
#include "policy/trace.h"
#include "sys/spawn.h"
#include "sys/sys.h"
#include "sys/trace.h"

/* The kernel's own, never seen by programs but by their tracer. */
#define CALL_ERESTARTSYS 512
#define CALL_ERESTART_RESTARTBLOCK 516

#define CALL_INSTRUCTION 2   /* bytes: syscall, int 0x80, sysenter's landing pad */
#define CALL_RED_ZONE 128
#define CALL_WHOLE UINT64_MAX /* position: the descriptor's own */

/* ------------------------------------------------------------------ counting */

static uint32_t call_findings(const struct tracee *t, int64_t result)
{
	bool nonblock = t->event.flags & SPLICE_F_NONBLOCK;
	uint32_t found = 0;

	if (t->event.call != CALL_VMSPLICE)
		return 0;
	if (result == -EAGAIN && nonblock)
		found |= 1u << FINDING_EAGAIN;
	if (result > 0 && (uint64_t)result < t->asked_bytes && !nonblock &&
	    t->event.out.kind != KIND_NONE)
		found |= 1u << FINDING_SHORT_V1;
	return found;
}

static struct report_site *call_count(struct trace *tr, struct tracee *t, int64_t result)
{
	struct report_call c = {
		.tgid = tracee_tgid(t), .tid = t->tid,
		.call = t->event.call,
		.ip = t->regs.rip, .sp = t->regs.rsp,
		.is_32bit = t->is_32bit,
		.fd = t->fd,
		.flags = t->event.flags,
		.asked_bytes = t->asked_bytes,
		.result = result,
		.in_kind = t->event.in.kind, .out_kind = t->event.out.kind,
		.verdict = t->verdict,
		.findings = call_findings(t, result),
		.ns = t->ns,
	};

	return tr->s->counted ? report_call(tr->s->report, &c) : NULL;
}

/* What a later look needs to know of a call that is over. */
static void call_remember(struct trace *tr, struct tracee *t, int64_t result,
			  struct report_site *site)
{
	struct watch_call w = {
		.tgid = tracee_tgid(t), .tid = t->tid, .pidfd = t->pidfd, .fd = t->fd,
		.ino = t->ino, .site = site, .is_32bit = t->is_32bit,
		.is_fifo = t->event.out.kind == KIND_FIFO,
		.iov = t->is_32bit ? t->regs.rcx : t->regs.rsi, .iov_n = t->event.n,
		.bytes = result > 0 ? (uint64_t)result : 0,
	};

	if (t->event.call == CALL_SPLICE && result != -EBADF && result != -EINVAL) {
		spliced_note(&tr->spliced, t->in_ino, false);
		spliced_note(&tr->spliced, t->ino, true);
	}
	if (!tr->watch || !site || result <= 0 || !t->ino)
		return;
	watch_appended(tr->watch, t->ino, (uint64_t)result);
	if (t->event.call == CALL_VMSPLICE)
		watch_add(tr->watch, &w);
}

/* --------------------------------------------------------------------- entry */

static void call_look(struct trace *tr, struct tracee *t, int fd, struct policy_end *ret,
		      uint64_t *ret_ino, bool write_end, int *ret_fd)
{
	int r = end_look(tracee_pidfd(&tr->tracees, t), fd, ret, ret_ino, ret_fd);

	if (r < 0)
		t->blind = r;
	ret->spliced = spliced_seen(&tr->spliced, *ret_ino, write_end);
}

/* What is only counted. */
static void call_peek(struct trace *tr, struct tracee *t, int fd, struct policy_end *ret,
		      uint64_t *ret_ino, bool write_end)
{
	int r = end_peek(t->tid, fd, ret, ret_ino);

	if (r < 0)
		t->blind = r;
	ret->spliced = spliced_seen(&tr->spliced, *ret_ino, write_end);
}

/* *ret_fd: our copy of the pipe of a vmsplice. */
static void call_event(struct trace *tr, struct tracee *t, const uint64_t args[6], int *ret_fd)
{
	struct policy_event *e = &t->event;
	struct policy_end *in = &e->in, *out = &e->out;

	t->ino = t->in_ino = 0;
	t->blind = 0;
	t->asked_bytes = 0;
	t->fd = (int)args[0];
	switch (e->call) {
	case CALL_VMSPLICE:
		e->flags = (uint32_t)args[3];
		e->n = t->is_32bit ? (uint32_t)args[2] : args[2];
		call_look(tr, t, t->fd, out, &t->ino, true, ret_fd);
		if (!out->can_write && (out->kind == KIND_PIPE || out->kind == KIND_FIFO)) {
			*in = *out;
			in->spliced = spliced_seen(&tr->spliced, t->ino, false);
			memset(out, 0, sizeof(*out));
			t->in_ino = t->ino;
			t->ino = 0;
		}
		if (tr->s->counted)
			t->asked_bytes = copy_asked(t->tid, t->is_32bit, args[1], e->n);
		break;
	case CALL_SPLICE:
	case CALL_COPY_FILE_RANGE:
		call_peek(tr, t, (int)args[0], in, &t->in_ino, false);
		call_peek(tr, t, (int)args[2], out, &t->ino, true);
		t->asked_bytes = e->n = args[4];
		e->flags = (uint32_t)args[5];
		break;
	case CALL_TEE:
		call_peek(tr, t, (int)args[0], in, &t->in_ino, false);
		call_peek(tr, t, (int)args[1], out, &t->ino, true);
		t->asked_bytes = e->n = args[2];
		e->flags = (uint32_t)args[3];
		break;
	case CALL_SENDFILE:
		call_peek(tr, t, (int)args[0], out, &t->ino, true);
		call_peek(tr, t, (int)args[1], in, &t->in_ino, false);
		t->asked_bytes = e->n = args[3];
		break;
	default:
		t->fd = -1;
		break;
	}
}

/* Answered without the kernel. */
static void call_answer(struct trace *tr, struct tracee *t, int64_t result)
{
	struct user_regs_struct regs = t->regs;

	t->phase = TRACEE_IDLE;
	regs.orig_rax = (unsigned long long)-1;
	regs.rax = (unsigned long long)result;
	(void)trace_lost(tr, t, tracee_store(t, &regs));
	(void)call_count(tr, t, result);
	trace_resume(tr, t, PTRACE_CONT, 0);
}

static void call_vector(struct trace *tr, struct tracee *t, bool write, uint32_t rwf)
{
	uint64_t whole = t->is_32bit ? UINT32_MAX : CALL_WHOLE;
	const struct user_regs_struct *now = &t->regs;
	const uint64_t args[6] = {
		t->is_32bit ? now->rbx : now->rdi, t->is_32bit ? now->rcx : now->rsi,
		now->rdx, whole, whole, rwf,
	};
	struct user_regs_struct regs;

	tracee_rewrite(t, write ? TRACEE_PWRITEV2 : TRACEE_PREADV2, args, &regs);
	(void)trace_lost(tr, t, tracee_store(t, &regs));
	t->phase = TRACEE_REWRITTEN;
	trace_resume(tr, t, PTRACE_SYSCALL, 0);
}

/*
 * Let the thread itself wait for room, by poll(): signals, SIGSTOP and all else
 * are then the kernel's.  The argument lies below the stack's red zone, where
 * nothing is that the program could miss, and is put back all the same.
 */
static bool call_wait(struct trace *tr, struct tracee *t)
{
	struct pollfd pfd = { .fd = t->fd, .events = POLLOUT };
	uint64_t args[6] = { 0, 1, (uint64_t)-1, 0, 0, 0 }, word;
	struct user_regs_struct regs;

	_Static_assert(sizeof(pfd) == sizeof(word), "a pollfd is 8 bytes");
	memcpy(&word, &pfd, sizeof(word));
	t->wait_addr = (t->regs.rsp - CALL_RED_ZONE - 2 * sizeof(pfd)) & ~UINT64_C(7);
	if (tracee_read(t->tid, t->wait_addr, &t->wait_saved, sizeof(t->wait_saved)) < 0 ||
	    tracee_poke(t, t->wait_addr, word) < 0)
		return false;
	args[0] = t->wait_addr;
	args[3] = t->is_32bit ? t->regs.rsi : t->regs.r10;
	args[4] = t->is_32bit ? t->regs.rdi : t->regs.r8;
	args[5] = t->is_32bit ? t->regs.rbp : t->regs.r9;
	tracee_rewrite(t, TRACEE_POLL, args, &regs);
	(void)trace_lost(tr, t, tracee_store(t, &regs));
	t->phase = TRACEE_WAITING;
	trace_resume(tr, t, PTRACE_SYSCALL, 0);
	return true;
}

/* copy-v2: first wait for room, then write what fits. */
static void call_wait_write(struct trace *tr, struct tracee *t, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int r = sys_poll(&pfd, 1, 0);

	if (r != 0)
		call_vector(tr, t, true, t->verdict.rwf); /* room, or nobody who reads */
	else if (!t->verdict.wait)
		call_answer(tr, t, -EAGAIN);
	else if (!call_wait(tr, t))
		call_answer(tr, t, -EFAULT);
}

/*
 * Nobody can say what the call is about, so it must not be carried out as
 * another one, nor, where that would be against the policy, as it is.
 */
static bool call_is_blind(struct trace *tr, const struct tracee *t)
{
	if (t->blind == 0)
		return false;
	report_hole(tr->s->report, "a %s on fd %d of process %d: the descriptor could not be "
		    "looked at: %s", policy_call_name(t->event.call), t->fd, (int)t->tid,
		    strerrordesc_np(-t->blind));
	return t->event.call == CALL_VMSPLICE && tr->s->policy.vmsplice > POLICY_WARN;
}

static void call_act(struct trace *tr, struct tracee *t, int fd)
{
	if (call_is_blind(tr, t)) {
		call_answer(tr, t, -ENOMEM);
		return;
	}
	switch (t->verdict.action) {
	case ACTION_FAIL:
		call_answer(tr, t, -t->verdict.error);
		return;
	case ACTION_WRITE:
		call_vector(tr, t, true, t->verdict.rwf);
		return;
	case ACTION_READ:
		call_vector(tr, t, false, t->plain_read ? 0 : t->verdict.rwf);
		return;
	case ACTION_WAIT_WRITE:
		call_wait_write(tr, t, fd);
		return;
	default:
		break;
	}
	t->phase = tr->s->counted ? TRACEE_NATIVE : TRACEE_IDLE;
	trace_resume(tr, t, tr->s->counted ? PTRACE_SYSCALL : PTRACE_CONT, 0);
}

/*
 * Be where the thread is: two that hand each other one CPU are several times
 * faster than two CPUs that wake each other.
 */
static void call_follow(struct trace *tr, const struct tracee *t)
{
	int cpu = tr->entered++ % TRACE_FOLLOW ? tr->cpu : tracee_cpu(t);

	if (cpu >= 0 && cpu != tr->cpu && sys_run_on((unsigned)cpu) == 0)
		tr->cpu = cpu;
}

void call_enter(struct trace *tr, struct tracee *t)
{
	uint64_t begun = sys_clock_ns();
	_cleanup_close_ int fd = -1;
	uint64_t ip = t->regs.rip, args[6];

	memset(&t->event, 0, sizeof(t->event));
	if (trace_lost(tr, t, tracee_load(t)))
		return;
	if (!tracee_call(t, &t->event.call, args)) {
		if (tracee_listens(t))
			report_hole(tr->s->report, "process %d makes a seccomp listener: the "
				    "kernel asks that one, and not us, about calls of its filter",
				    (int)t->tid);
		trace_resume(tr, t, PTRACE_CONT, 0);
		return;
	}
	t->plain_read = t->plain_read && ip == t->regs.rip; /* the same call again */
	call_follow(tr, t);
	if (tr->watch)
		watch_look(tr->watch, tracee_tgid(t));
	call_event(tr, t, args, &fd);
	t->verdict = policy_decide(&tr->s->policy, &t->event);
	t->ns = sys_clock_ns() - begun;
	call_act(tr, t, fd);
}

/* ----------------------------------------------------------------------- end */

/* The call is over: what the program sees is a vmsplice that returned result. */
static void call_return(struct trace *tr, struct tracee *t, int64_t result)
{
	struct user_regs_struct regs = t->regs;

	regs.rax = (unsigned long long)result;
	(void)trace_lost(tr, t, tracee_store(t, &regs));
}

/* It is made again, as if it had not been made. */
static void call_again(struct trace *tr, struct tracee *t)
{
	struct user_regs_struct regs = t->regs;

	regs.rip -= CALL_INSTRUCTION;
	regs.rax = regs.orig_rax;
	(void)trace_lost(tr, t, tracee_store(t, &regs));
}

static bool call_is_restart(int64_t result)
{
	return result <= -CALL_ERESTARTSYS && result >= -CALL_ERESTART_RESTARTBLOCK;
}

/*
 * The kernel has no RWF_NOWAIT for this end and the policy says it should.  For
 * reading: when there is something, a plain preadv2 does not wait either (but
 * where another reader is faster).  True: the call is made again.
 */
static bool call_ideal(struct trace *tr, struct tracee *t, int64_t *result)
{
	_cleanup_close_ int fd = -1;
	bool reads = t->verdict.action == ACTION_READ;
	struct pollfd pfd = { .events = POLLIN };
	struct policy_end e;
	uint64_t ino;

	if (end_look(tracee_pidfd(&tr->tracees, t), t->fd, &e, &ino, &fd) < 0 || fd < 0)
		return false;
	/*
	 * Meanwhile another thread may have put something else there, and what
	 * we open anew we open with our own rights: only what it could do itself.
	 */
	if (!ino || ino != (reads ? t->in_ino : t->ino) || !(reads ? e.can_read : e.can_write))
		return false;
	if (!reads) {
		*result = copy_write(tr, t, fd);
		return false;
	}
	pfd.fd = fd;
	if (sys_poll(&pfd, 1, 0) <= 0) {
		*result = -EAGAIN;
		return false;
	}
	t->plain_read = true;
	call_again(tr, t);
	return true;
}

static void call_rewritten(struct trace *tr, struct tracee *t, int64_t result)
{
	bool again = false;

	if (result == -EOPNOTSUPP && t->verdict.nowait_ideal)
		again = call_ideal(tr, t, &result);
	else if (t->verdict.action == ACTION_READ)
		t->plain_read = false;
	if (!again && result == -EAGAIN && t->verdict.action == ACTION_WAIT_WRITE &&
	    t->verdict.wait) {
		call_again(tr, t);
		again = true;
	}
	if (again)
		return;
	call_return(tr, t, result);
	if (call_is_restart(result))
		return;
	call_remember(tr, t, result, call_count(tr, t, result));
}

static void call_waited(struct trace *tr, struct tracee *t, int64_t result)
{
	(void)tracee_poke(t, t->wait_addr, t->wait_saved);
	if (call_is_restart(result))
		call_return(tr, t, -CALL_ERESTARTSYS);
	else if (result < 0)
		call_return(tr, t, result);
	else
		call_again(tr, t);
}

void call_leave(struct trace *tr, struct tracee *t)
{
	uint64_t begun = sys_clock_ns();
	uint8_t phase = t->phase;
	int64_t result;

	t->phase = TRACEE_IDLE;
	if (!trace_lost(tr, t, tracee_result(t, &result))) {
		t->ns += sys_clock_ns() - begun;
		if (phase == TRACEE_WAITING) {
			call_waited(tr, t, result);
		} else if (phase == TRACEE_REWRITTEN) {
			call_rewritten(tr, t, result);
		} else if (!call_is_restart(result)) {
			call_remember(tr, t, result, call_count(tr, t, result));
		}
	}
	trace_resume(tr, t, PTRACE_CONT, 0);
}
