/* SPDX-License-Identifier: MIT */
/*
 * Order on streams: the transfers to (or from) one pipe or socket are carried
 * out one after another, as they were submitted.  Files and memory have
 * offsets and need no order.
 *
 * A stream on which a transfer failed in the middle is broken: what waits there
 * is cancelled, and so is what comes, until the caller has been told (has taken
 * the ENDED).  Else a transfer that was submitted a moment too late would fill
 * the hole.
 */
#include "engine/engine.h"
#include "sys/sys.h"

struct stream {
	int fd, side;
	struct list jobs;   /* struct stream_node, the first has its turn */
	unsigned broken;    /* jobs that failed here and whose ENDED was not taken */
	struct list link;
};

static struct list *stream_bucket(struct engine *e, int fd, int side)
{
	return &e->streams[((unsigned)fd * 2 + (unsigned)side) % ENGINE_STREAM_BUCKETS];
}

static struct stream *stream_find(struct engine *e, int fd, int side)
{
	struct list *bucket = stream_bucket(e, fd, side);

	for (struct list *l = bucket->next; l != bucket; l = l->next) {
		struct stream *s = list_entry(l, struct stream, link);

		if (s->fd == fd && s->side == side)
			return s;
	}
	return NULL;
}

static bool stream_has_order(const struct end *end)
{
	switch (end->kind) {
	case DECANT_END_PIPE:
	case DECANT_END_SOCKET:
	case DECANT_END_FD:
		return true;
	case DECANT_END_FILE:
		/* A position and O_APPEND are shared like a stream. */
		return end->position || end->append;
	default:
		return false;
	}
}

static int stream_enter_one(struct engine *e, struct job *j, struct end *end, int side)
{
	struct stream_node *n = &j->q->streams[side];
	struct stream *s;

	n->job = j;
	n->fd = -1;
	list_init(&n->link);
	if (!stream_has_order(end))
		return 0;
	s = stream_find(e, end->fd, side);
	if (!s) {
		s = e->spare_stream ? take_ptr(e->spare_stream) : sys_calloc(1, sizeof(*s));
		if (!s)
			return -1;
		s->fd = end->fd;
		s->side = side;
		list_init(&s->jobs);
		list_push(stream_bucket(e, s->fd, side), &s->link);
	}
	n->fd = end->fd;
	n->side = side;
	n->stream = s;
	n->queued = true;
	list_push(&s->jobs, &n->link);
	if (s->broken)
		j->q->cancelled = j->q->cancelled_behind = true;
	return 0;
}

static void stream_forget(struct engine *e, struct stream *s)
{
	if (s->broken || !list_empty(&s->jobs))
		return;
	list_remove(&s->link);
	if (!e->spare_stream)
		e->spare_stream = s;
	else
		free(s);
}

void stream_destroy_spare(struct engine *e)
{
	free(e->spare_stream);
}

static void stream_node_leave(struct engine *e, struct stream_node *n)
{
	struct stream *s = n->stream;

	if (!n->queued)
		return;
	n->queued = false;
	list_remove(&n->link);
	stream_forget(e, s);
}

void stream_mend(struct engine *e, struct job *j)
{
	for (int i = 0; i < 2; i++) {
		struct stream *s = take_ptr(j->q->streams[i].broken);

		if (!s)
			continue;
		s->broken--;
		stream_forget(e, s);
	}
}

int stream_enter(struct engine *e, struct job *j)
{
	j->q->stream_left = false;
	if (stream_enter_one(e, j, &j->from, END_SOURCE) < 0)
		return -1;
	if (stream_enter_one(e, j, &j->to, END_SINK) < 0) {
		stream_node_leave(e, &j->q->streams[END_SOURCE]);
		return -1;
	}
	return 0;
}

static bool stream_node_turn(const struct stream_node *n)
{
	return !n->queued || n->stream->jobs.next == &n->link;
}

bool stream_turn(const struct job *j)
{
	return stream_node_turn(&j->q->streams[0]) && stream_node_turn(&j->q->streams[1]);
}

static void stream_wake_next(struct engine *e, struct stream *s, bool failed)
{
	for (struct list *l = s->jobs.next; l != &s->jobs; l = l->next) {
		struct job *next = list_entry(l, struct stream_node, link)->job;

		if (failed && !next->q->cancelled) {
			next->q->cancelled = true;
			next->q->cancelled_behind = true;
			engine_wake(e, next);
		} else if (stream_turn(next)) {
			engine_wake(e, next);
		}
		if (!failed)
			break;
	}
}

void stream_leave(struct engine *e, struct job *j, bool failed)
{
	if (j->q->stream_left)
		return;
	j->q->stream_left = true;
	for (int i = 0; i < 2; i++) {
		struct stream_node *n = &j->q->streams[i];
		struct stream *s = n->stream;
		bool alone;

		if (!n->queued)
			continue;
		alone = s->jobs.next == &n->link && s->jobs.prev == &n->link;
		/* Not by those that were cancelled themselves: the caller may have
		 * closed the descriptor and use its number for something else. */
		if (failed && !j->q->cancelled_behind) {
			s->broken++;
			n->broken = s;
		}
		stream_node_leave(e, n);
		if (!alone)
			stream_wake_next(e, s, failed);
	}
}
