/* SPDX-License-Identifier: MIT */
/* Deadlines of waiting jobs: a binary heap, the earliest on top. */
#include <errno.h>

#include "engine/engine.h"
#include "sys/sys.h"

struct timers {
	struct job **heap; /* [1..n] */
	unsigned n, room;
};

int timers_create(struct timers **ret)
{
	struct timers *t = sys_calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*ret = t;
	return 0;
}

void timers_destroy(struct timers *t)
{
	if (!t)
		return;
	free(t->heap);
	free(t);
}

int timers_reserve(struct timers *t, unsigned n)
{
	unsigned room = t->room ? t->room : 32;
	struct job **heap;

	while (room < n + 1)
		room *= 2;
	if (room == t->room)
		return 0;
	heap = sys_realloc(t->heap, room * sizeof(struct job *));
	if (!heap)
		return -ENOMEM;
	t->heap = heap;
	t->room = room;
	return 0;
}

static void timers_put(struct timers *t, unsigned i, struct job *j)
{
	t->heap[i] = j;
	j->q->timer_index = i;
}

static void timers_up(struct timers *t, unsigned i)
{
	struct job *j = t->heap[i];

	while (i > 1 && t->heap[i / 2]->q->deadline_ns > j->q->deadline_ns) {
		timers_put(t, i, t->heap[i / 2]);
		i /= 2;
	}
	timers_put(t, i, j);
}

static void timers_down(struct timers *t, unsigned i)
{
	struct job *j = t->heap[i];

	while (2 * i <= t->n) {
		unsigned child = 2 * i;

		if (child < t->n &&
		    t->heap[child + 1]->q->deadline_ns < t->heap[child]->q->deadline_ns)
			child++;
		if (t->heap[child]->q->deadline_ns >= j->q->deadline_ns)
			break;
		timers_put(t, i, t->heap[child]);
		i = child;
	}
	timers_put(t, i, j);
}

void timers_set(struct timers *t, struct job *j, uint64_t deadline_ns)
{
	timers_clear(t, j);
	j->q->deadline_ns = deadline_ns;
	t->n++;
	t->heap[t->n] = j;
	timers_up(t, t->n);
}

void timers_clear(struct timers *t, struct job *j)
{
	unsigned i = j->q->timer_index;
	struct job *last;

	if (i == 0)
		return;
	j->q->timer_index = 0;
	last = t->heap[t->n--];
	if (last == j)
		return;
	timers_put(t, i, last);
	timers_up(t, i);
	timers_down(t, last->q->timer_index);
}

uint64_t timers_next(const struct timers *t)
{
	return t->n ? t->heap[1]->q->deadline_ns : 0;
}

struct job *timers_expired(struct timers *t, uint64_t now_ns)
{
	struct job *j;

	if (t->n == 0 || t->heap[1]->q->deadline_ns > now_ns)
		return NULL;
	j = t->heap[1];
	timers_clear(t, j);
	return j;
}
