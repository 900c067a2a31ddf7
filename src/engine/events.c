/* SPDX-License-Identifier: MIT */
/*
 * Events on their way to the caller.  Every job has room for one event of
 * each type in itself, so that telling how a transfer ended cannot fail.
 */
#include <string.h>

#include "engine/engine.h"
#include "sys/sys.h"

void event_emit(struct job *j, uint32_t type, uint32_t flags, uint64_t bytes, uint64_t now_ns)
{
	struct engine *e = j->engine;
	struct event_node *n = &j->q->events[type];

	n->type = type;
	n->flags = flags;
	n->bytes = bytes;
	n->time_ns = now_ns;
	/* PROGRESS that nobody took yet is brought up to date, and to its place in time. */
	if (n->queued)
		list_remove(&n->link);
	n->queued = true;
	list_push(&e->events, &n->link);
	if (e->event_fd >= 0 && !e->event_fd_set) {
		e->event_fd_set = true;
		eventfd_raise(e->event_fd);
	}
	if (e->callers)
		pthread_cond_broadcast(&e->changed);
}

void event_emit_unlocked(struct job *j, uint32_t type, uint32_t flags, uint64_t bytes)
{
	pthread_mutex_lock(&j->engine->lock);
	event_emit(j, type, flags, bytes, sys_clock_ns());
	pthread_mutex_unlock(&j->engine->lock);
}

void event_fill(struct job *j, const struct event_node *n, struct decant_event *ret)
{
	memset(ret, 0, offsetof(struct decant_event, digest));
	ret->message[0] = 0;
	ret->route[0] = 0;
	ret->id = j->id;
	ret->user_data = j->user_data;
	ret->type = n->type;
	ret->flags = n->flags;
	ret->bytes = n->bytes;
	ret->time_ns = n->time_ns;
	if (n->type != DECANT_ENDED)
		return;
	ret->error = j->error;
	ret->arrived_bytes = j->arrived;
	ret->offset = (j->from.kind == DECANT_END_FILE ? j->from.offset : 0) +
		      (j->q->phase_failed == PHASE_DELIVER ? j->arrived : n->bytes);
	ret->copied_bytes = j->copied_bytes;
	ret->cpu_copies = j->cpu_copies;
	memcpy(ret->digest, j->digest, sizeof(ret->digest));
	if (j->hash)
		ret->checksum = j->checksum;
	strncpy(ret->route, j->ops->name, sizeof(ret->route) - 1);
	ret->route[sizeof(ret->route) - 1] = 0;
	if (j->error)
		memcpy(ret->message, j->err.text, sizeof(ret->message));
}

unsigned event_take(struct engine *e, struct decant_event *ret, unsigned n)
{
	unsigned got = 0;
	uint64_t count;

	while (got < n) {
		struct list *l = list_pop(&e->events);
		struct event_node *node;
		struct job *j;

		if (!l)
			break;
		node = list_entry(l, struct event_node, link);
		node->queued = false;
		j = node->job;
		event_fill(j, node, &ret[got++]);
		if (node->type == DECANT_ENDED) {
			j->q->end_taken = true;
			stream_mend(e, j);
			e->live--;
			job_release(e, j);
		}
	}
	if (e->event_fd_set && list_empty(&e->events)) {
		e->event_fd_set = false;
		(void)!sys_read(e->event_fd, &count, sizeof(count));
	}
	return got;
}
