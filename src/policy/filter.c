/* SPDX-License-Identifier: MIT */
/*
 * The seccomp filter of a policy.  The program is asked at the calls that
 * matter only; the kernel knows of all others that they pass, so that they do
 * not even run the filter (since 5.11).
 */
#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "policy/board.h"
#include "policy/mechanism.h"
#include "sys/seccomp.h"
#include "sys/sys.h"
#include "sys/trace.h"

/* sendfile64 is of 32-bit programs only. */
static const struct {
	int nr;
	enum policy_call call;
} filter_calls[] = {
	{ SCMP_SYS(vmsplice), CALL_VMSPLICE },
	{ SCMP_SYS(splice), CALL_SPLICE },
	{ SCMP_SYS(tee), CALL_TEE },
	{ SCMP_SYS(sendfile), CALL_SENDFILE },
	{ SCMP_SYS(sendfile64), CALL_SENDFILE },
	{ SCMP_SYS(copy_file_range), CALL_COPY_FILE_RANGE },
	{ SCMP_SYS(io_uring_setup), CALL_IO_URING_SETUP },
};

static void filter_release(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

/* Calls by an ABI that is neither (x32): as by the kernels that lack it. */
static int filter_archs(scmp_filter_ctx ctx)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));

	if (r == 0 && seccomp_arch_exist(ctx, SCMP_ARCH_X86) == -EEXIST)
		r = seccomp_arch_add(ctx, SCMP_ARCH_X86);
	return r;
}

static int filter_rules(scmp_filter_ctx ctx, const struct supervise *s, uint32_t catch)
{
	for (size_t i = 0; i < sizeof(filter_calls) / sizeof(filter_calls[0]); i++) {
		enum policy_call call = filter_calls[i].call;
		int error = 0, r = 0;

		switch (policy_filter(&s->policy, s->counted, call, &error)) {
		case FILTER_ERROR:
			r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)error),
					     filter_calls[i].nr, 0);
			break;
		case FILTER_CATCH:
			/* A tracer is told the call by the filter's data. */
			r = seccomp_rule_add(ctx, catch == SECCOMP_RET_TRACE ?
						  SCMP_ACT_TRACE((uint32_t)call) : catch,
					     filter_calls[i].nr, 0);
			break;
		default:
			break;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * The kernel asks a listener of the program's own before a tracer, and what that
 * says passes us by.  So there is none, as under notify, which is one itself;
 * where a policy changes nothing it is told only.
 */
static int filter_listener(scmp_filter_ctx ctx, const struct supervise *s)
{
	uint32_t action = s->policy.vmsplice > POLICY_WARN ? SCMP_ACT_ERRNO(EBUSY) :
							    SCMP_ACT_TRACE(CALL_MAX);

	return seccomp_rule_add(ctx, action, SCMP_SYS(seccomp), 2,
				SCMP_A0_32(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER),
				SCMP_A1_32(SCMP_CMP_MASKED_EQ, SECCOMP_FILTER_FLAG_NEW_LISTENER,
					   SECCOMP_FILTER_FLAG_NEW_LISTENER));
}

/* libseccomp 2.5 writes to descriptors only. */
static int filter_export(scmp_filter_ctx ctx, struct sock_fprog *ret)
{
	_cleanup_close_ int fd = sys_memfd_create("filter", MFD_CLOEXEC);
	struct sock_filter *code;
	struct stat st;
	ssize_t n;
	int r = fd;

	if (r >= 0)
		r = seccomp_export_bpf(ctx, fd);
	if (r >= 0)
		r = sys_fstat(fd, &st);
	if (r < 0)
		return r;
	if (st.st_size <= 0 || (size_t)st.st_size > BPF_MAXINSNS * sizeof(*code))
		return -E2BIG;
	code = sys_malloc((size_t)st.st_size + BOARD_MARK * sizeof(*code));
	if (!code)
		return -ENOMEM;
	n = sys_pread(fd, code, (size_t)st.st_size, 0);
	if (n != st.st_size) {
		free(code);
		return n < 0 ? (int)n : -EIO;
	}
	ret->filter = code;
	ret->len = (unsigned short)((size_t)n / sizeof(*code));
	return 0;
}

/* What is behind the last return is never run, and kept by the kernel as it is. */
static void filter_mark(struct supervise *s)
{
	if (s->board < 0 || s->filter.len > BPF_MAXINSNS - BOARD_MARK)
		return;
	board_mark(s->filter.filter + s->filter.len, sys_getpid(), s->board);
	s->filter.len += BOARD_MARK;
}

int filter_make(struct supervise *s, uint32_t catch, struct err *reterr)
{
	_cleanup_(filter_release) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r = ctx ? filter_archs(ctx) : -ENOMEM;

	if (r >= 0)
		r = filter_rules(ctx, s, catch);
	if (r >= 0 && catch == SECCOMP_RET_TRACE)
		r = filter_listener(ctx, s);
	if (r >= 0)
		r = filter_export(ctx, &s->filter);
	if (r >= 0)
		filter_mark(s);
	return r < 0 ? err_errno(reterr, r, "seccomp filter: cannot be made") : 0;
}

int filter_install(struct supervise *s, unsigned flags)
{
	int r = sys_seccomp(SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
			    &s->filter);

	if (r != -EACCES)
		return r;
	/* Without CAP_SYS_ADMIN: programs must not gain rights under our filter. */
	r = sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (r < 0)
		return r;
	s->nnp = true;
	return sys_seccomp(SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
			   &s->filter);
}
