/* SPDX-License-Identifier: MIT */
#include "process/stop_table.h"

#include <errno.h>
#include <string.h>

#include "sys/sys.h"

#define STOP_LEAST 16

/* -------------------------------------------------------------- the index */

static size_t stop_slot(const struct stop *s, pid_t tid)
{
	return ((uint32_t)tid * 2654435761u) & (s->slots_n - 1);
}

static void stop_index_add(struct stop *s, size_t i)
{
	size_t slot = stop_slot(s, s->threads[i].tid);

	while (s->slots[slot])
		slot = (slot + 1) & (s->slots_n - 1);
	s->slots[slot] = (uint32_t)i + 1;
}

static void stop_index(struct stop *s)
{
	memset(s->slots, 0, s->slots_n * sizeof(*s->slots));
	for (size_t i = 0; i < s->n; i++)
		stop_index_add(s, i);
}

struct stop_thread *stop_table_find(const struct stop *s, pid_t tid)
{
	size_t slot;

	if (!s->slots)
		return NULL;
	for (slot = stop_slot(s, tid); s->slots[slot]; slot = (slot + 1) & (s->slots_n - 1))
		if (s->threads[s->slots[slot] - 1].tid == tid)
			return &s->threads[s->slots[slot] - 1];
	return NULL;
}

/* -------------------------------------------------------------- the table */

int stop_table_reserve(struct stop *s, size_t n)
{
	size_t slots_n = 4 * STOP_LEAST;
	struct stop_thread *threads;
	uint32_t *slots;

	if (n < STOP_LEAST)
		n = STOP_LEAST;
	if (n <= s->size)
		return 0;
	while (slots_n < 2 * n)
		slots_n *= 2;
	threads = sys_realloc(s->threads, n * sizeof(*threads));
	if (!threads)
		return -ENOMEM;
	memset(threads + s->size, 0, (n - s->size) * sizeof(*threads));
	s->threads = threads;
	slots = sys_realloc(s->slots, slots_n * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	s->slots = slots;
	s->slots_n = slots_n;
	stop_index(s);
	for (; s->size < n; s->size++) {
		int r = arch_state_reserve(&threads[s->size].state);

		if (r < 0)
			return r;
	}
	return 0;
}

struct stop_thread *stop_table_add(struct stop *s, pid_t tid)
{
	struct stop_thread *t;
	struct arch_state state;

	if (s->n == s->size && stop_table_reserve(s, 2 * s->size) < 0)
		return NULL;
	t = &s->threads[s->n];
	state = t->state;
	memset(t, 0, sizeof(*t));
	t->state = state;
	t->tid = t->ns_tid = tid;
	stop_index_add(s, s->n++);
	return t;
}

static void stop_swap(struct stop *s, size_t i, size_t j)
{
	struct stop_thread t = s->threads[i];

	s->threads[i] = s->threads[j];
	s->threads[j] = t;
}

void stop_table_drop(struct stop *s, bool (*drop)(const struct stop_thread *t))
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (drop(&s->threads[i]))
			continue;
		if (kept != i)
			stop_swap(s, kept, i);
		kept++;
	}
	if (kept == s->n)
		return;
	s->n = kept;
	stop_index(s);
}

void stop_table_first(struct stop *s, pid_t tid)
{
	struct stop_thread *t = stop_table_find(s, tid);

	if (!t || t == s->threads)
		return;
	stop_swap(s, 0, (size_t)(t - s->threads));
	stop_index(s);
}

/* ----------------------------------------------------------- the left out */

bool stop_table_left_out(const struct stop *s, pid_t tid)
{
	for (size_t i = 0; i < s->left_out_n; i++)
		if (s->left_out[i] == tid)
			return true;
	return false;
}

int stop_table_leave_out(struct stop *s, pid_t tid)
{
	if (stop_table_left_out(s, tid))
		return 0;
	if (s->left_out_n == s->left_out_size) {
		size_t size = s->left_out_size ? 2 * s->left_out_size : STOP_LEAST;
		pid_t *p = sys_realloc(s->left_out, size * sizeof(*p));

		if (!p)
			return -ENOMEM;
		s->left_out = p;
		s->left_out_size = size;
	}
	s->left_out[s->left_out_n++] = tid;
	return 0;
}

void stop_table_forget(struct stop *s, bool (*keep)(const struct stop *s, pid_t tid))
{
	size_t kept = 0;

	for (size_t i = 0; i < s->left_out_n; i++)
		if (keep(s, s->left_out[i]))
			s->left_out[kept++] = s->left_out[i];
	s->left_out_n = kept;
}

void stop_table_free(struct stop *s)
{
	for (size_t i = 0; i < s->size; i++)
		arch_state_free(&s->threads[i].state);
	free(s->threads);
	free(s->slots);
	free(s->tids);
	free(s->left_out);
	memset(s, 0, sizeof(*s));
}
