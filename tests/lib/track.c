/* SPDX-License-Identifier: MIT */
#include "lib/track.h"

#include <stdio.h>
#include <string.h>

#include "lib/kit.h"

#define TRACK_BATCH 64

const char *const track_backends[3] = { "auto", "uring", "threads" };

struct decant *track_engine(enum decant_backend backend, const char *mask)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct decant *d = NULL;
	int r;

	options.backend = backend;
	options.mask = mask;
	options.cost_file = "";
	r = decant_open(&d, &options);
	if (r < 0)
		kit_die("decant_open(%s): %s", track_backends[backend], strerror(-r));
	return d;
}

int64_t track_submit(struct decant *d, struct decant_transfer *t, struct track *tr)
{
	int64_t id;

	*tr = (struct track){ 0 };
	t->user_data = (uintptr_t)tr;
	id = decant_submit(d, t);
	if (id > 0)
		tr->id = (uint64_t)id;
	return id;
}

static const char *const track_types[] = { "nothing",  "PROGRESS",  "SNAPSHOTTED",
					   "RELEASED", "DELIVERED", "ENDED" };

#define TRACK_RULE(cond, ...)                                              \
	do {                                                               \
		if (!(cond) && !tr->wrong[0])                              \
			snprintf(tr->wrong, sizeof(tr->wrong), __VA_ARGS__); \
	} while (0)

static void track_rules(struct track *tr, const struct decant_event *e)
{
	TRACK_RULE(e->id == tr->id, "id %llu, submit said %llu", (unsigned long long)e->id,
		   (unsigned long long)tr->id);
	TRACK_RULE(!tr->seen[DECANT_ENDED], "%s after ENDED", track_types[e->type]);
	if (e->type != DECANT_PROGRESS)
		TRACK_RULE(!tr->seen[e->type], "%s twice", track_types[e->type]);
	if (e->type == DECANT_PROGRESS)
		TRACK_RULE(!tr->seen[DECANT_DELIVERED], "PROGRESS after DELIVERED");
	if (e->type == DECANT_RELEASED)
		TRACK_RULE(tr->seen[DECANT_SNAPSHOTTED], "RELEASED before SNAPSHOTTED");
	/* Only a LIVE route, which cannot know, may say it last. */
	if (e->type == DECANT_SNAPSHOTTED)
		TRACK_RULE(!tr->seen[DECANT_DELIVERED] || (e->flags & DECANT_NOT_CERTAIN),
			   "DELIVERED before a SNAPSHOTTED that is certain");
	TRACK_RULE(e->time_ns >= tr->time_ns, "%s is older than the event before it",
		   track_types[e->type]);
	TRACK_RULE(e->time_ns <= kit_now_ns(), "%s is of the future", track_types[e->type]);
	if (e->type == DECANT_PROGRESS || e->type == DECANT_ENDED)
		TRACK_RULE(e->bytes >= tr->bytes, "%s: bytes went back", track_types[e->type]);
	if (e->type == DECANT_ENDED) {
		TRACK_RULE(e->error <= 0, "ENDED with a positive error %d", e->error);
		TRACK_RULE((e->error == 0) == (e->message[0] == '\0'),
			   "ENDED: error %d, message \"%s\"", e->error, e->message);
		TRACK_RULE(e->error || tr->seen[DECANT_SNAPSHOTTED],
			   "ENDED well without SNAPSHOTTED");
		TRACK_RULE(e->error || tr->seen[DECANT_RELEASED], "ENDED well without RELEASED");
		TRACK_RULE(e->route[0] || e->error, "ENDED names no route");
	}
}

void track_event(struct track *tr, const struct decant_event *e)
{
	if (e->type < DECANT_PROGRESS || e->type > DECANT_ENDED) {
		TRACK_RULE(false, "event of type %u", e->type);
		return;
	}
	track_rules(tr, e);
	tr->seen[e->type]++;
	tr->last[e->type] = *e;
	tr->time_ns = e->time_ns;
	if (e->type == DECANT_PROGRESS)
		tr->bytes = e->bytes;
}

static int track_wait(struct decant *d, int wait_ms)
{
	struct decant_event events[TRACK_BATCH];
	int n = decant_wait(d, events, TRACK_BATCH, wait_ms);

	for (int i = 0; i < n; i++)
		if (events[i].user_data)
			track_event((struct track *)(uintptr_t)events[i].user_data, &events[i]);
	return n;
}

unsigned track_take(struct decant *d)
{
	int n = track_wait(d, 0);

	return n < 0 ? 0 : (unsigned)n;
}

bool track_until(struct decant *d, struct track *tr, enum decant_event_type type, int wait_ms)
{
	uint64_t until = kit_now_ns() + (uint64_t)wait_ms * 1000000u;

	while (!tr->seen[type] && !tr->seen[DECANT_ENDED]) {
		uint64_t now = kit_now_ns();
		int n;

		if (now >= until && wait_ms)
			break;
		n = track_wait(d, wait_ms ? (int)((until - now) / 1000000u) + 1 : 0);
		if (n < 0)
			kit_die("decant_wait: %s", decant_strerror(d));
		if (n == 0 && (!wait_ms || kit_now_ns() < until - 1000000u))
			break; /* "at once when nothing is in flight" */
	}
	return tr->seen[type] > 0;
}

const char *track_verdict(const struct track *tr, int error)
{
	static __thread char text[512];
	const struct decant_event *e = &tr->last[DECANT_ENDED];

	if (tr->wrong[0])
		snprintf(text, sizeof(text), "events: %s", tr->wrong);
	else if (!tr->seen[DECANT_ENDED])
		snprintf(text, sizeof(text), "has not ended; %u SNAPSHOTTED, %u DELIVERED",
			 tr->seen[DECANT_SNAPSHOTTED], tr->seen[DECANT_DELIVERED]);
	else if (e->error != error)
		snprintf(text, sizeof(text), "ended with %d (%s), not %d; %llu bytes, %s", e->error,
			 strerror(-e->error), error, (unsigned long long)e->bytes, e->message);
	else
		return "";
	return text;
}
