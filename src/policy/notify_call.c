/* SPDX-License-Identifier: MIT */
/* One call: what it is, what is to happen, and the answer. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "policy/notify.h"
#include "policy/report.h"
#include "process/procfs.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define CALL_PIDFD_THREAD O_EXCL /* Linux 6.9 */
#define CALL_SEND_TRIES 100

static const struct {
	int nr, nr_32bit;
	enum policy_call call;
} call_numbers[] = {
	{ 278, 316, CALL_VMSPLICE },
	{ 275, 313, CALL_SPLICE },
	{ 276, 315, CALL_TEE },
	{ 40, 187, CALL_SENDFILE },
	{ -1, 239, CALL_SENDFILE },
	{ 326, 377, CALL_COPY_FILE_RANGE },
	{ 425, 425, CALL_IO_URING_SETUP },
};

bool notify_is_valid(const struct notify_job *job)
{
	return sys_notif_id_valid(job->n->listener, job->req.id) == 0;
}

/* -ENOENT: nobody waits for it any more; all else would leave the caller waiting. */
void notify_send(struct notify_job *job, struct seccomp_notif_resp *resp)
{
	for (int i = 0; i < CALL_SEND_TRIES; i++) {
		int r = sys_notif_send(job->n->listener, resp);

		if (r >= 0 || r == -ENOENT || r == -EINPROGRESS)
			return;
	}
}

static enum policy_call call_which(const struct notify_job *job)
{
	for (size_t i = 0; i < sizeof(call_numbers) / sizeof(call_numbers[0]); i++)
		if (job->req.data.nr ==
		    (job->is_32bit ? call_numbers[i].nr_32bit : call_numbers[i].nr))
			return call_numbers[i].call;
	return CALL_MAX;
}

/* ----------------------------------------------------------- what it is */

/* A descriptor is the thread's own where its table is not that of its process. */
static int call_pidfd(struct notify_job *job)
{
	int fd = sys_pidfd_open(job->tid, CALL_PIDFD_THREAD);

	return fd == -EINVAL ? sys_pidfd_open(job->tgid, 0) : fd;
}

static pid_t call_tgid(pid_t tid)
{
	_cleanup_close_ int dir = -1;
	struct proc_status st;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)tid);
	dir = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	return dir >= 0 && procfs_status(dir, &st) == 0 ? st.tgid : tid;
}

static bool call_spliced(struct notify *n, uint64_t ino, bool write_end)
{
	bool seen;

	(void)pthread_mutex_lock(&n->lock);
	seen = spliced_seen(&n->spliced, ino, write_end);
	(void)pthread_mutex_unlock(&n->lock);
	return seen;
}

static void call_note_spliced(struct notify_job *job)
{
	struct notify *n = job->n;

	(void)pthread_mutex_lock(&n->lock);
	spliced_note(&n->spliced, job->in_ino, false);
	spliced_note(&n->spliced, job->out_ino, true);
	(void)pthread_mutex_unlock(&n->lock);
}

static void call_look(struct notify_job *job, int fd, struct policy_end *ret, uint64_t *ret_ino,
		      int *ret_fd)
{
	int r = end_look(job->pidfd, fd, ret, ret_ino, ret_fd);

	if (r < 0)
		job->blind = r;
}

static void call_ends(struct notify_job *job, int in, int out)
{
	job->fd = out;
	call_look(job, in, &job->event.in, &job->in_ino, &job->in);
	call_look(job, out, &job->event.out, &job->out_ino, &job->out);
	job->event.in.spliced = call_spliced(job->n, job->in_ino, false);
	job->event.out.spliced = call_spliced(job->n, job->out_ino, true);
}

static void call_close(int *fd)
{
	if (*fd >= 0)
		(void)sys_close(take_fd(fd));
}

/*
 * The number may be another process's, and so may the pidfd be later: an exec by
 * another thread takes that of its leader.  What we have copied is the caller's
 * if it waits for us still.
 */
static void call_check(struct notify_job *job)
{
	if (notify_is_valid(job))
		return;
	call_close(&job->in);
	call_close(&job->out);
	call_close(&job->pidfd);
	job->blind = -ESRCH;
	job->event.in = job->event.out = (struct policy_end){ .kind = KIND_BAD };
}

/* One descriptor, which is the one end or the other. */
static void call_vmsplice(struct notify_job *job)
{
	struct policy_event *e = &job->event;
	const uint64_t *a = job->args;
	bool is_pipe;

	job->fd = (int)a[0];
	e->flags = (uint32_t)a[3];
	e->n = job->is_32bit ? (uint32_t)a[2] : a[2];
	call_look(job, job->fd, &e->out, &job->out_ino, &job->out);
	is_pipe = e->out.kind == KIND_PIPE || e->out.kind == KIND_FIFO;
	if (is_pipe && !e->out.can_write) {
		e->in = e->out;
		e->out = (struct policy_end){ .kind = KIND_NONE };
		job->in = take_fd(&job->out);
		job->in_ino = job->out_ino;
		job->out_ino = 0;
	}
	e->in.spliced = call_spliced(job->n, job->in_ino, false);
	e->out.spliced = call_spliced(job->n, job->out_ino, true);
}

static void call_event(struct notify_job *job)
{
	struct policy_event *e = &job->event;
	const uint64_t *a = job->args;

	switch (e->call) {
	case CALL_VMSPLICE:
		call_vmsplice(job);
		break;
	case CALL_SPLICE:
	case CALL_COPY_FILE_RANGE:
		call_ends(job, (int)a[0], (int)a[2]);
		e->n = a[4];
		e->flags = (uint32_t)a[5];
		break;
	case CALL_TEE:
		call_ends(job, (int)a[0], (int)a[1]);
		e->n = a[2];
		e->flags = (uint32_t)a[3];
		break;
	case CALL_SENDFILE:
		call_ends(job, (int)a[1], (int)a[0]);
		e->n = a[3];
		break;
	default:
		break;
	}
	job->asked_bytes = e->n;
}

/* -------------------------------------------------------- what happens */

/*
 * For want of descriptors or memory of our own we do not know what the call is:
 * under a policy that would change it, it may not pass as it is.
 */
static bool call_is_blind(const struct notify_job *job)
{
	const struct policy *p = &job->n->s->policy;
	int error;

	if (job->blind == 0)
		return false;
	if (job->blind != -ESRCH) /* killed: nobody hears the answer */
		report_hole(job->n->s->report, "a %s on fd %d of process %d: the descriptor could "
			    "not be looked at: %s", policy_call_name(job->event.call), job->fd,
			    (int)job->tid, strerrordesc_np(-job->blind));
	return !(p->vmsplice == POLICY_WARN && job->event.call == CALL_VMSPLICE) &&
	       policy_filter(p, false, job->event.call, &error) == FILTER_CATCH;
}

static int64_t call_carry_out(struct notify_job *job)
{
	if (job->verdict.action == ACTION_FAIL)
		return -job->verdict.error;
	if (job->verdict.action == ACTION_PASS)
		return call_is_blind(job) ? -ENOMEM : MOVE_NATIVE;
	notify_wait_init(job);
	return job->verdict.action == ACTION_COPY ? notify_copy(job) : notify_vmsplice(job);
}

static uint32_t call_findings(const struct notify_job *job, int64_t r)
{
	bool nonblock = job->event.flags & SPLICE_F_NONBLOCK;

	return job->event.call == CALL_VMSPLICE && nonblock && r == -EAGAIN ?
		       1u << FINDING_EAGAIN : 0;
}

/* The caller of libc's wrapper is sought on the stack. */
static uint64_t call_stack(const struct notify_job *job)
{
	_cleanup_close_ int fd = -1;
	char path[48], text[256];
	unsigned long long sp;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", (int)job->tid);
	fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	n = fd < 0 ? fd : sys_read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* nr, six arguments, sp, pc */
	if (sscanf(text, "%*s %*s %*s %*s %*s %*s %*s %llx", &sp) != 1 || !notify_is_valid(job))
		return 0;
	return sp;
}

/* The kernel will lend the caller's memory to the pipe: does the caller change it? */
static void call_watch(struct notify_job *job, struct report_site *site, uint64_t asked_bytes)
{
	struct watch_call w = {
		.tgid = job->tgid, .tid = job->tid, .pidfd = job->pidfd, .fd = job->fd,
		.ino = job->out_ino, .site = site, .is_32bit = job->is_32bit,
		.is_fifo = job->event.out.kind == KIND_FIFO,
		.iov = job->args[1], .iov_n = job->event.n, .bytes = asked_bytes,
	};

	if (site && job->event.call == CALL_VMSPLICE && job->out_ino && asked_bytes)
		watch_expect(job->n->watch, &w);
}

static void call_count(struct notify_job *job, int64_t r)
{
	struct report_call c = {
		.tgid = job->tgid, .tid = job->tid,
		.call = job->event.call,
		.ip = job->req.data.instruction_pointer,
		.is_32bit = job->is_32bit,
		.fd = job->fd,
		.flags = job->event.flags,
		.result = r == MOVE_NATIVE ? REPORT_UNKNOWN : r,
		.in_kind = job->event.in.kind, .out_kind = job->event.out.kind,
		.verdict = job->verdict,
		.findings = call_findings(job, r),
	};

	struct report_site *site;

	if (!job->n->s->counted || !notify_is_valid(job))
		return;
	c.sp = call_stack(job);
	c.asked_bytes = job->event.call == CALL_VMSPLICE ? notify_asked(job) : job->asked_bytes;
	c.ns = sys_clock_ns() - job->start_ns;
	site = report_call(job->n->s->report, &c);
	if (job->n->watch && r == MOVE_NATIVE)
		call_watch(job, site, c.asked_bytes);
}

static void call_answer(struct notify_job *job, int64_t r)
{
	struct seccomp_notif_resp resp = { .id = job->req.id };

	if (job->broken && job->pidfd >= 0)
		(void)sys_pidfd_send_signal(job->pidfd, SIGPIPE, NULL, 0);
	if (r == MOVE_NATIVE)
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (r < 0)
		resp.error = r == -ESRCH ? -ENOMEM : (int)r;
	else
		resp.val = r;
	if (r == -NOTIFY_RESTART)
		(void)notify_interrupt(job, &resp);
	else
		notify_send(job, &resp);
}

void notify_call(struct notify_job *job)
{
	int64_t r;

	job->start_ns = sys_clock_ns();
	job->tid = (pid_t)job->req.pid;
	job->is_32bit = job->req.data.arch == AUDIT_ARCH_I386;
	job->in = job->out = job->mem = job->fd = -1;
	job->in_ino = job->out_ino = job->asked_bytes = 0;
	job->broken = false;
	job->event = (struct policy_event){ .call = call_which(job) };
	for (int i = 0; i < 6; i++)
		job->args[i] = job->is_32bit ? (uint32_t)job->req.data.args[i] :
					       job->req.data.args[i];
	/* Only what is asked for needs the number of the process. */
	job->tgid = job->n->s->counted ? call_tgid(job->tid) : job->tid;
	if (job->event.call == CALL_VMSPLICE)
		board_note(job->n->board, job->tid);
	if (job->n->watch)
		watch_look(job->n->watch, job->tgid);
	job->pidfd = call_pidfd(job);
	job->blind = job->pidfd < 0 ? job->pidfd : 0;
	if (job->pidfd >= 0) {
		call_event(job);
		call_check(job);
	}
	job->verdict = policy_decide(&job->n->s->policy, &job->event);
	r = call_carry_out(job);
	if (job->event.call == CALL_SPLICE && (r >= 0 || r == MOVE_NATIVE || r == -EAGAIN))
		call_note_spliced(job);
	if (r != -NOTIFY_RESTART)
		call_count(job, r);
	/* Before the answer: the caller may close its own next, and ask for the end of file. */
	call_close(&job->in);
	call_close(&job->out);
	call_close(&job->mem);
	call_answer(job, r);
	call_close(&job->pidfd);
}
