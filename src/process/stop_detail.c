/* SPDX-License-Identifier: MIT */
#include "process/stop.h"

#include <errno.h>
#include <string.h>

#include "sys/sys.h"
#include "sys/trace.h"

#define STOP_PENDING_MAX 64

static uint64_t stop_pending(pid_t tid)
{
	struct __ptrace_peeksiginfo_args args = { .nr = STOP_PENDING_MAX };
	siginfo_t infos[STOP_PENDING_MAX];
	uint64_t set = 0;
	long n = sys_ptrace(PTRACE_PEEKSIGINFO, tid, (uintptr_t)&args, (uintptr_t)infos);

	for (long i = 0; i < n; i++)
		set |= UINT64_C(1) << (infos[i].si_signo - 1);
	return set;
}

static int stop_detail(const struct stop *s, struct stop_thread *t, struct err *reterr)
{
	int r = arch_state_reserve(&t->state);

	if (r == 0)
		r = arch_state_get(t->tid, &t->state);
	if (r == -ESRCH) {
		t->dead = true; /* its general registers are known */
		return 0;
	}
	if (r < 0)
		return err_errno(reterr, r, "PID %d: registers of thread %d", s->target->pid,
				 t->tid);
	t->sigpend = stop_pending(t->tid);
	memset(&t->siginfo, 0, sizeof(t->siginfo));
	t->siginfo.si_signo = t->signal;
	t->has_siginfo = true;
	return 0;
}

int stop_details(struct stop *s, struct err *reterr)
{
	int r = 0;

	for (size_t i = 0; i < s->n && r == 0; i++)
		if (s->threads[i].stopped && !s->threads[i].has_siginfo)
			r = stop_detail(s, &s->threads[i], reterr);
	return r;
}
