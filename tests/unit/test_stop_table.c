/* SPDX-License-Identifier: MIT */
/* The table of a stop's threads against a plain list, at random; and memory that runs out. */
#include <stdlib.h>

#include "lib/kit.h"
#include "process/stop_table.h"
#include "sys/fault.h"
#include "tap.h"

#define TIDS 700
#define STEPS 20000

static bool there[TIDS], dropping[TIDS];

/* Spread over the range of ids, with neighbours. */
static pid_t tid_of(unsigned i)
{
	return (pid_t)(1 + i / 4 * 4099 + i % 4);
}

static unsigned index_of(pid_t tid)
{
	return (unsigned)((tid - 1) / 4099 * 4 + (tid - 1) % 4099);
}

static bool drop(const struct stop_thread *t)
{
	return dropping[index_of(t->tid)];
}

static unsigned compare(const struct stop *s)
{
	unsigned wrong = 0, n = 0;

	for (unsigned i = 0; i < TIDS; i++) {
		const struct stop_thread *t = stop_table_find(s, tid_of(i));

		n += there[i];
		wrong += (t != NULL) != there[i] || (t && t->tid != tid_of(i));
		wrong += t && (t->signal != (int)i || t->state.n == 0);
	}
	return wrong + (n != s->n);
}

static void step(struct stop *s)
{
	unsigned i = (unsigned)(kit_random() % TIDS);
	struct stop_thread *t;

	switch (kit_random() % 40) {
	case 0:
		for (unsigned j = 0; j < TIDS; j++) {
			dropping[j] = kit_random() % 3 == 0;
			there[j] = there[j] && !dropping[j];
		}
		stop_table_drop(s, drop);
		break;
	case 1:
		stop_table_first(s, tid_of(i));
		if (there[i])
			is_int(s->threads[0].tid, tid_of(i), "it comes first");
		break;
	default:
		if (there[i])
			break;
		t = stop_table_add(s, tid_of(i));
		need(t, "add");
		t->signal = (int)i;
		there[i] = true;
	}
}

static void test_random(void)
{
	struct stop s = STOP_INIT;
	unsigned wrong = 0;

	ok(stop_table_find(&s, 1) == NULL, "nothing is in an empty one");
	for (unsigned i = 0; i < STEPS; i++) {
		step(&s);
		if (i % 50 == 0)
			wrong += compare(&s);
	}
	is_int(wrong, 0, "it holds what was put in");
	need(s.n > 0, "some");
	s.threads[0].signal = -1;
	ok(compare(&s) > 0, "control: a difference is seen");
	stop_table_free(&s);
	ok(s.threads == NULL && s.n == 0, "empty again");
	stop_table_free(&s);
}

static bool keep_even(const struct stop *s, pid_t tid)
{
	(void)s;
	return tid % 2 == 0;
}

static void test_left_out(void)
{
	struct stop s = STOP_INIT;

	ok(!stop_table_left_out(&s, 5), "none");
	for (pid_t tid = 1; tid <= 100; tid++) {
		is_int(stop_table_leave_out(&s, tid), 0, "leave out");
		is_int(stop_table_leave_out(&s, tid), 0, "and again");
	}
	is_int(s.left_out_n, 100, "each once");
	stop_table_forget(&s, keep_even);
	is_int(s.left_out_n, 50, "half");
	ok(stop_table_left_out(&s, 100) && !stop_table_left_out(&s, 99), "the right ones");
	stop_table_free(&s);
}

#ifdef DECANT_FAULTS
static void test_no_memory(void)
{
	unsigned long n = 0, fired;

	do {
		struct sys_fault_plan plan = { .nth = ++n };
		struct stop s = STOP_INIT;
		struct stop_thread *t;
		unsigned added = 0;

		sys_fault_arm(&plan);
		if (stop_table_reserve(&s, 20) == 0)
			for (pid_t tid = 1; tid <= 60; tid++) {
				t = stop_table_add(&s, tid);
				added += t != NULL;
				ok((stop_table_find(&s, tid) != NULL) == (t != NULL), "thread %d",
				   tid);
			}
		fired = sys_fault_fired();
		sys_fault_disarm();
		is_int(s.n, added, "as many as were added");
		stop_table_free(&s);
	} while (fired);
	ok(n > 20, "%lu faults", n);
}
#endif

int main(void)
{
	kit_start(60);
	tap_case("like a list", test_random);
	tap_case("those left out", test_left_out);
#ifdef DECANT_FAULTS
	tap_case("no memory", test_no_memory);
#endif
	return done();
}
