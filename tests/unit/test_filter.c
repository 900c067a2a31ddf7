/* SPDX-License-Identifier: MIT */
/*
 * The policies' filters, run here: what is asked for is caught, and of all other
 * calls the kernel can know beforehand that they pass, by number and ABI alone
 * (its cache of constant answers, seccomp_is_const_allow() in kernel/seccomp.c):
 * then they do not run the filter.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "policy/mechanism.h"
#include "sys/seccomp.h"
#include "tap.h"

#define FILTER_NRS 600
#define FILTER_ASKS UINT32_MAX /* the answer is not by number and ABI alone */
#define FILTER_WRONG (UINT32_MAX - 1)

static uint32_t filter_load(uint32_t k, uint32_t nr, uint32_t arch, bool *ret_other)
{
	*ret_other = false;
	if (k == offsetof(struct seccomp_data, nr))
		return nr;
	if (k == offsetof(struct seccomp_data, arch))
		return arch;
	*ret_other = true;
	return 0;
}

/* What the filter answers; FILTER_ASKS where it looks at anything else. */
static uint32_t filter_run(const struct sock_fprog *p, uint32_t nr, uint32_t arch)
{
	uint32_t a = 0;
	bool other;

	for (unsigned i = 0; i < p->len; i++) {
		const struct sock_filter *f = &p->filter[i];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			a = filter_load(f->k, nr, arch, &other);
			if (other)
				return FILTER_ASKS;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		case BPF_JMP | BPF_JA:
			i += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			i += a == f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			i += a >= f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			i += a > f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			i += a & f->k ? f->jt : f->jf;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		default:
			return FILTER_WRONG;
		}
	}
	return FILTER_WRONG;
}

/* The calls of the policies in both ABIs; 0: ends. */
static const uint32_t filter_calls[2][8] = {
	{ __NR_vmsplice, __NR_splice, __NR_tee, __NR_sendfile, __NR_copy_file_range,
	  __NR_io_uring_setup, 0 },
	{ 316, 313, 315, 187, 239, 377, 425, 0 },
};
static const uint32_t filter_seccomp[2] = { __NR_seccomp, 354 };

static bool filter_is_call(uint32_t nr, int abi)
{
	for (const uint32_t *c = filter_calls[abi]; *c; c++)
		if (*c == nr)
			return true;
	return false;
}

struct filter_row {
	const char *policy;
	uint32_t catch;
	bool counted;
	uint32_t vmsplice, splice, listener; /* the answers */
};

static void filter_row(const struct filter_row *row)
{
	static const uint32_t archs[2] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386 };
	struct supervise s = { .counted = row->counted, .board = -1 };
	const char *by = row->catch == SECCOMP_RET_TRACE ? "trace" : "notify";
	unsigned slow = 0, wrong = 0;
	struct err e = { "" };

	need(policy_parse(row->policy, &s.policy, &e) == 0, "%s: %s", row->policy, e.text);
	need(filter_make(&s, row->catch, &e) == 0, "filter: %s", e.text);
	for (int abi = 0; abi < 2; abi++) {
		for (uint32_t nr = 0; nr < FILTER_NRS; nr++) {
			uint32_t r = filter_run(&s.filter, nr, archs[abi]);

			if (filter_is_call(nr, abi) || nr == filter_seccomp[abi])
				continue;
			slow += r == FILTER_ASKS;
			wrong += r != SECCOMP_RET_ALLOW;
		}
		is_int(filter_run(&s.filter, filter_calls[abi][0], archs[abi]), row->vmsplice,
			"%s by %s, ABI %d: vmsplice", row->policy, by, abi);
		is_int(filter_run(&s.filter, filter_calls[abi][1], archs[abi]), row->splice,
			"%s by %s, ABI %d: splice", row->policy, by, abi);
		is_int(filter_run(&s.filter, filter_seccomp[abi], archs[abi]), row->listener,
			"%s by %s, ABI %d: seccomp", row->policy, by, abi);
	}
	is_int(slow, 0, "%s by %s: all other calls have a constant answer", row->policy, by);
	is_int(wrong, 0, "%s by %s: they pass", row->policy, by);
	is_int(filter_run(&s.filter, 0x40000000 | __NR_vmsplice, AUDIT_ARCH_X86_64),
		SECCOMP_RET_ERRNO | ENOSYS, "%s by %s: x32 is not there", row->policy, by);
	free(s.filter.filter);
}

static void test_rows(void)
{
	static const struct filter_row rows[] = {
		{ "copy-v2", SECCOMP_RET_TRACE, false, SECCOMP_RET_TRACE | CALL_VMSPLICE,
		  SECCOMP_RET_ALLOW, FILTER_ASKS },
		{ "copy-v2", SECCOMP_RET_USER_NOTIF, false, SECCOMP_RET_USER_NOTIF,
		  SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
		{ "stable", SECCOMP_RET_USER_NOTIF, false, SECCOMP_RET_ALLOW,
		  SECCOMP_RET_USER_NOTIF, SECCOMP_RET_ALLOW },
		{ "audit", SECCOMP_RET_TRACE, true, SECCOMP_RET_TRACE | CALL_VMSPLICE,
		  SECCOMP_RET_TRACE | CALL_SPLICE, FILTER_ASKS },
		{ "deny", SECCOMP_RET_TRACE, false, SECCOMP_RET_ERRNO | ENOSYS,
		  SECCOMP_RET_ALLOW, FILTER_ASKS },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		filter_row(&rows[i]);
}

/* A filter that looks at an argument of each call is not in the kernel's cache. */
static void test_control(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = { sizeof(code) / sizeof(code[0]), code };

	is_int(filter_run(&p, __NR_read, AUDIT_ARCH_X86_64), FILTER_ASKS,
		"control: one that asks for more is seen");
}

int main(void)
{
	tap_case("filters", test_rows);
	tap_case("control", test_control);
	return done();
}
