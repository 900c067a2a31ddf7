/* SPDX-License-Identifier: MIT */
#include "policy/victims.h"

#include <errno.h>
#include <inttypes.h>

#include "policy/report.h"

static const char *const victims_why[SIGHT_MAX] = {
	[SIGHT_NONE] = "nobody knows what its filters did",
	[SIGHT_NO_FILTER] = "it is under no policy: start it by `decant run --mechanism=notify`",
	[SIGHT_SUSPENDED] = "its filters were not looked at",
	[SIGHT_MORE_FILTERS] = "it has filters beside ours, so they were suspended",
	[SIGHT_NOT_OURS] = ("its filter is not that of `decant run --mechanism=notify`, or its "
			    "supervisor is gone"),
};

/* Numbers are the program's: they are bounded, and only told. */
static int victims_one(struct report *r, const struct shared_victim *v, struct err *reterr)
{
	uint32_t sight = __atomic_load_n(&v->sight, __ATOMIC_ACQUIRE);
	uint64_t calls = __atomic_load_n(&v->calls, __ATOMIC_ACQUIRE);
	const char *why = sight < SIGHT_MAX ? victims_why[sight] : victims_why[SIGHT_NONE];

	if (sight == SIGHT_CAUGHT && calls) {
		report_note(r, "%" PRIu64 " calls of vmsplice that were made for the dumper inside "
			    "process %d were caught: they are in its own supervisor's report",
			    calls, (int)v->pid);
		return 0;
	}
	if (sight == SIGHT_CAUGHT)
		why = "its supervisor saw no call of vmsplice";
	report_hole(r, "what the dumper did inside process %d: %s", (int)v->pid, why);
	return err_set(reterr, -ENODATA, "criu: process %d was dumped, but %s", (int)v->pid, why);
}

int victims_judge(struct report *r, const struct shared *m, struct err *reterr)
{
	uint32_t n = __atomic_load_n(&m->victims_n, __ATOMIC_ACQUIRE);
	int worst = 0;

	for (uint32_t i = 0; i < n && i < SHARED_VICTIMS; i++) {
		int e = victims_one(r, &m->victims[i], worst == 0 ? reterr : NULL);

		worst = worst < 0 ? worst : e;
	}
	if (n > SHARED_VICTIMS) {
		report_hole(r, "the dumper took over more processes than are listed here");
		return worst < 0 ? worst :
		       err_set(reterr, -ENODATA, "criu: too many processes to look after them all");
	}
	if (n == 0)
		report_note(r, "the dumper took over no process");
	return worst;
}
