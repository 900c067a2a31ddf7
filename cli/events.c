/* SPDX-License-Identifier: MIT */
#include "events.h"

#include <errno.h>

#include "base/json.h"
#include "digest.h"
#include "json_line.h"

const char *events_type_name(uint32_t type)
{
	switch (type) {
	case DECANT_PROGRESS: return "progress";
	case DECANT_SNAPSHOTTED: return "snapshotted";
	case DECANT_RELEASED: return "released";
	case DECANT_DELIVERED: return "delivered";
	case DECANT_ENDED: return "ended";
	default: return "unknown";
	}
}

const char *events_delivered_name(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ DECANT_DURABLE, "durable" }, { DECANT_WRITTEN, "written" },
		{ DECANT_TAKEN, "taken" }, { DECANT_ACKED, "acked" },
		{ DECANT_DISCARDED, "discarded" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (flags & names[i].flag)
			return names[i].name;
	return NULL;
}

/* One line in one piece; the reader may be slow, but must not be gone. */
static void events_write(struct events *e, struct json *j)
{
	int r;

	buf_putc(&j->buf, '\n');
	r = j->buf.error ? j->buf.error :
			   waiter_write(e->w, e->fd, buf_str(&j->buf), j->buf.len);
	/* Cut short by a signal: the line is lost, later ones need not be. */
	if (r < 0 && r != -ECANCELED)
		e->error = r;
	json_free(j);
}

static void events_begin(struct json *j, const char *name, uint64_t time_ns)
{
	json_object(j);
	json_member_string(j, "event", name);
	json_member_u64(j, "time_ns", time_ns);
}

void events_engine(struct events *e, const struct decant_event *event)
{
	struct json j = JSON_INIT;
	char hex[DIGEST_TEXT_MAX];

	if (e->fd < 0 || e->error)
		return;
	events_begin(&j, events_type_name(event->type), event->time_ns);
	json_member_u64(&j, "bytes", event->bytes);
	if (event->type == DECANT_SNAPSHOTTED)
		json_member_bool(&j, "certain", !(event->flags & DECANT_NOT_CERTAIN));
	if (event->type == DECANT_DELIVERED)
		json_member_string(&j, "means", events_delivered_name(event->flags));
	if (event->type == DECANT_ENDED) {
		json_member_string(&j, "route", event->route);
		json_member_string(&j, "error", json_line_error_name(event->error));
		json_member_string(&j, "message", event->message);
		json_member_u64(&j, "arrived_bytes", event->arrived_bytes);
		json_member_u64(&j, "offset", event->offset);
		json_member_u64(&j, "copied_bytes", event->copied_bytes);
		json_member_u64(&j, "cpu_copies_bytes", event->cpu_copies);
		json_member_bool(&j, "kernel_copied", event->flags & DECANT_COPIED);
		if (event->checksum)
			json_member_string(&j, digest_name(event->checksum),
					   digest_text(event->checksum, event->digest, hex));
	}
	json_end(&j);
	events_write(e, &j);
}

void events_listening(struct events *e, const char *address, uint16_t port)
{
	struct json j = JSON_INIT;

	if (e->fd < 0 || e->error)
		return;
	events_begin(&j, "listening", waiter_now_ns());
	json_member_string(&j, "address", address);
	if (port)
		json_member_u64(&j, "port", port);
	json_end(&j);
	events_write(e, &j);
}

void events_finished(struct events *e, int status, uint64_t bytes)
{
	struct json j = JSON_INIT;

	if (e->fd < 0 || e->error)
		return;
	events_begin(&j, "finished", waiter_now_ns());
	json_member_i64(&j, "status", status);
	json_member_u64(&j, "bytes", bytes);
	json_end(&j);
	events_write(e, &j);
}
