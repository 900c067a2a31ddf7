/* SPDX-License-Identifier: MIT */
#include "process/stop_rank.h"

#include <errno.h>

#include "process/stop_task.h"
#include "sys/sys.h"

/* With fewer threads the order does not matter. */
#define STOP_RANK_LEAST 16
#define STOP_BUSY_MAX 16
/* How long they are watched. */
#define STOP_WATCH_NS UINT64_C(5000000)

static int stop_compare_ran(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? 1 : -(x > y);
}

/* The time that the last of the busiest used; at least 1. */
static uint64_t stop_busy_limit(const struct stop *s, uint64_t *ran)
{
	for (size_t i = 0; i < s->n; i++)
		ran[i] = s->threads[i].ran_ns;
	qsort(ran, s->n, sizeof(*ran), stop_compare_ran);
	return ran[STOP_BUSY_MAX - 1] ? ran[STOP_BUSY_MAX - 1] : 1;
}

int stop_rank(struct stop *s)
{
	_cleanup_free_ uint64_t *ran = NULL;
	uint64_t limit, begin_ns;
	size_t busy = 0;

	for (size_t i = 0; i < s->n; i++)
		s->threads[i].busy = true;
	if (s->n < STOP_RANK_LEAST)
		return 0;
	ran = sys_malloc(s->n * sizeof(*ran));
	if (!ran)
		return -ENOMEM;
	begin_ns = sys_clock_ns();
	for (size_t i = 0; i < s->n; i++)
		s->threads[i].ran_ns = stop_task_ran_ns(s, s->threads[i].tid);
	if (sys_clock_ns() - begin_ns < STOP_WATCH_NS)
		(void)sys_sleep_ns(STOP_WATCH_NS);
	for (size_t i = 0; i < s->n; i++) {
		struct stop_thread *t = &s->threads[i];

		t->ran_ns = stop_task_ran_ns(s, t->tid) - t->ran_ns;
		if (t->runnable) /* on a busy machine it may have waited all the time */
			t->ran_ns += STOP_WATCH_NS;
	}
	limit = stop_busy_limit(s, ran);
	for (size_t i = 0; i < s->n; i++) {
		s->threads[i].busy = s->threads[i].ran_ns >= limit && busy < STOP_BUSY_MAX;
		busy += s->threads[i].busy;
	}
	return 0;
}
