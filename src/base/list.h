/* SPDX-License-Identifier: MIT */
/*
 * A doubly linked list whose links live in the members (intrusive).
 * Not a container: it owns nothing and is not thread-safe.
 *
 *	struct list jobs = LIST_INIT(jobs);
 *	list_push(&jobs, &job->link);
 *	struct job *j = list_entry(list_pop(&jobs), struct job, link);
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) { &(name), &(name) }

#define list_entry(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* At the tail. */
static inline void list_push(struct list *head, struct list *item)
{
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}

/* Harmless on an item that is on no list but was initialised. */
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

/* From the head; NULL when empty. */
static inline struct list *list_pop(struct list *head)
{
	struct list *item = head->next;

	if (item == head)
		return NULL;
	list_remove(item);
	return item;
}

#endif
