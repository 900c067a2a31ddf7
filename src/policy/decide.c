/* SPDX-License-Identifier: MIT */
#include "policy/decide.h"

#include <errno.h>
#include <fcntl.h>

#include "uapi/rwf.h"

#define FLAGS_ALL (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

static const char *const decide_calls[CALL_MAX] = {
	[CALL_VMSPLICE] = "vmsplice",
	[CALL_SPLICE] = "splice",
	[CALL_TEE] = "tee",
	[CALL_SENDFILE] = "sendfile",
	[CALL_COPY_FILE_RANGE] = "copy_file_range",
	[CALL_IO_URING_SETUP] = "io_uring_setup",
};

static const char *const decide_kinds[KIND_MAX] = {
	[KIND_NONE] = "none",
	[KIND_BAD] = "bad",
	[KIND_FILE] = "file",
	[KIND_PIPE] = "pipe",
	[KIND_FIFO] = "fifo",
	[KIND_SOCKET] = "socket",
	[KIND_OTHER] = "other",
};

const char *policy_call_name(enum policy_call call)
{
	return call < CALL_MAX ? decide_calls[call] : "?";
}

const char *policy_kind_name(enum policy_kind kind)
{
	return kind < KIND_MAX ? decide_kinds[kind] : "?";
}

static bool decide_is_pipe(const struct policy_end *e)
{
	return e->kind == KIND_PIPE || e->kind == KIND_FIFO;
}

/* ------------------------------------------------------------- vmsplice */

/* Whether the kernel itself would refuse it before it looks at the policy. */
static bool decide_is_refused(const struct policy_event *e)
{
	return (e->flags & ~FLAGS_ALL) || (!decide_is_pipe(&e->out) && !decide_is_pipe(&e->in));
}

static uint32_t decide_findings(const struct policy_event *e)
{
	bool writes = decide_is_pipe(&e->out), nonblock = e->flags & SPLICE_F_NONBLOCK;
	const struct policy_end *end = writes ? &e->out : &e->in;
	uint32_t found = 0;

	if (e->flags & SPLICE_F_GIFT)
		found |= 1u << FINDING_GIFT;
	if (end->kind == KIND_FIFO && nonblock)
		found |= 1u << FINDING_FIFO_NOWAIT;
	if (end->kind == KIND_FIFO && writes)
		found |= 1u << FINDING_FIFO_V2;
	if (end->spliced && nonblock)
		found |= 1u << FINDING_AFTER_SPLICE_V1;
	if (end->spliced && writes)
		found |= 1u << FINDING_AFTER_SPLICE_V2;
	if (end->nonblock && writes && e->flags == SPLICE_F_NONBLOCK)
		found |= 1u << FINDING_EINVAL_V2;
	if (end->nonblock && !nonblock)
		found |= 1u << FINDING_O_NONBLOCK;
	return found;
}

static void decide_copy(const struct policy *p, const struct policy_event *e,
			struct policy_verdict *v)
{
	bool nonblock = e->flags & SPLICE_F_NONBLOCK;

	v->nowait_ideal = !p->nowait_kernel;
	v->rwf = nonblock ? RWF_NOWAIT : 0;
	if (!decide_is_pipe(&e->out)) {
		v->action = ACTION_READ;
	} else if (p->vmsplice == POLICY_COPY_V1) {
		v->action = ACTION_WRITE;
	} else if (e->out.nonblock && e->flags == SPLICE_F_NONBLOCK) {
		/* What libfuse does, so that it takes its way without vmsplice. */
		v->action = ACTION_FAIL;
		v->error = EINVAL;
		v->rwf = 0;
		v->nowait_ideal = false;
	} else {
		v->action = ACTION_WAIT_WRITE;
		v->rwf = RWF_NOWAIT;
		v->wait = !nonblock && !e->out.nonblock;
	}
}

static void decide_vmsplice(const struct policy *p, const struct policy_event *e,
			    struct policy_verdict *v)
{
	if (p->vmsplice == POLICY_DENY) {
		v->action = ACTION_FAIL;
		v->error = ENOSYS;
	}
	if (decide_is_refused(e))
		return;
	v->findings = decide_findings(e);
	switch (p->vmsplice) {
	case POLICY_WARN:
		v->warn = e->flags & SPLICE_F_GIFT;
		break;
	case POLICY_COPY_V1:
	case POLICY_COPY_V2:
		decide_copy(p, e, v);
		break;
	default:
		break;
	}
}

/* --------------------------------------------------- splice and its like */

/*
 * Only pages that somebody else can still write to have to be copied: those of
 * a file that would be lent to a pipe or socket, and what tee() would share.
 * To a file the kernel copies by itself before the call returns; what is in a
 * pipe or came by a socket is not written to any more under this policy.
 */
static bool decide_lends(const struct policy_event *e)
{
	switch (e->call) {
	case CALL_SPLICE:
		return e->in.kind == KIND_FILE && decide_is_pipe(&e->out);
	case CALL_SENDFILE:
		return e->in.kind == KIND_FILE &&
		       (decide_is_pipe(&e->out) || e->out.kind == KIND_SOCKET);
	case CALL_TEE:
		return decide_is_pipe(&e->in) && decide_is_pipe(&e->out);
	default:
		return false;
	}
}

struct policy_verdict policy_decide(const struct policy *p, const struct policy_event *e)
{
	struct policy_verdict v = { .action = ACTION_PASS };

	if (e->call == CALL_VMSPLICE) {
		decide_vmsplice(p, e, &v);
	} else if (e->call == CALL_IO_URING_SETUP) {
		v.findings = 1u << FINDING_URING;
		if (p->stable) {
			v.action = ACTION_FAIL;
			v.error = EPERM; /* as by the kernel's own switch */
		}
	} else if (p->stable && decide_lends(e)) {
		v.action = ACTION_COPY;
	}
	return v;
}

enum policy_filter policy_filter(const struct policy *p, bool counted, enum policy_call call,
				 int *ret_error)
{
	if (counted)
		return FILTER_CATCH;
	switch (call) {
	case CALL_VMSPLICE:
		if (p->vmsplice == POLICY_LEGACY)
			return FILTER_ALLOW;
		if (p->vmsplice != POLICY_DENY)
			return FILTER_CATCH;
		*ret_error = ENOSYS;
		return FILTER_ERROR;
	case CALL_IO_URING_SETUP:
		if (!p->stable)
			return FILTER_ALLOW;
		*ret_error = EPERM;
		return FILTER_ERROR;
	case CALL_COPY_FILE_RANGE:
		return FILTER_ALLOW;
	default:
		return p->stable ? FILTER_CATCH : FILTER_ALLOW;
	}
}
