/* SPDX-License-Identifier: MIT */
#include "lib/dying.h"

#include "lib/kit.h"
#include "tap.h"

void dying_sweep(const char *victim, unsigned habits, dying_act *act, bool quick)
{
	struct sweep s = { .act = act, .method = CALL_FRAME, .quick = quick };
	struct victim v;

	victim_begin(&v, habits, "%s", victim);
	s.v = &v;
	s.step = kit_full() ? 1 : 5;
	s.first = 1 + kit_random() % s.step;
	remote_sweep(&s);
	diag("%u steps, %u deaths, %llu EINTR", s.steps, s.deaths,
	     (unsigned long long)v.report->eintr);
	ok(s.whole, "all steps were died at");
	is_int(s.harmed, 0, "not harmed: %s", s.what);
	victim_end(&v);
}

void dying_errors(dying_act *act)
{
	struct sweep s = { .act = act, .method = CALL_FRAME, .errors = true };
	struct victim v;

	victim_begin(&v, 0, "registers general --ms 2");
	s.v = &v;
	s.step = kit_full() ? 1 : 3;
	s.first = 1 + kit_random() % s.step;
	remote_sweep(&s);
	diag("%u steps, %u faults", s.steps, s.deaths);
	ok(s.whole, "all steps failed once");
	is_int(s.harmed, 0, "not harmed: %s", s.what);
	victim_end(&v);
}

void dying_control(dying_act *act)
{
	struct sweep s = { .act = act, .method = CALL_PLAIN, .quick = true };
	struct victim v;

	for (s.first = 1; !s.whole && s.killed < 1; s.first = s.last + 1) {
		victim_begin(&v, 0, "registers general --ms 2");
		s.v = &v;
		remote_sweep(&s);
		victim_end(&v);
	}
	diag("%u deaths, %u harmed, %u killed, the first: %s", s.deaths, s.harmed, s.killed,
	     s.what);
	ok(s.harmed > 0 && s.killed > 0, "the plain method is seen to kill");
}
