/* SPDX-License-Identifier: MIT */
/* Registers of the instant and what is known of the process, as notes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "base/json.h"
#include "capture/capture.h"
#include "sys/sys.h"

static const char *notes_strategy(uint32_t strategy)
{
	return strategy == DECANT_STRATEGY_PRECOPY ? "precopy" :
	       strategy == DECANT_STRATEGY_FORK ? "fork" : "stop";
}

static void notes_ranges(struct json *j, const char *key, const struct ranges *r)
{
	char text[64];

	json_key(j, key);
	json_array(j);
	for (size_t i = 0; i < r->n; i++) {
		(void)snprintf(text, sizeof(text), "%" PRIx64 "-%" PRIx64, r->v[i].start,
			       r->v[i].end);
		json_string(j, text);
	}
	json_end(j);
}

/* Our own note: how this core came to be, and what is missing from it. */
static void notes_own(const struct capture *c, struct json *j)
{
	struct decant_capture_report *rep = c->report;

	json_object(j);
	json_member_string(j, "version", decant_version());
	json_member_string(j, "method", notes_strategy(rep->strategy));
	json_member_string(j, "tracking", rep->tracking);
	json_member_i64(j, "host_pid", c->t->pid);
	json_member_u64(j, "pause_ns", rep->pause_ns);
	json_member_u64(j, "instant_ns", rep->instant_ns);
	json_member_u64(j, "stops", rep->stops);
	json_member_u64(j, "rounds", rep->rounds);
	json_member_u64(j, "residue_bytes", rep->residue_bytes);
	json_member_u64(j, "stopped_bytes", rep->stopped_bytes);
	json_member_u64(j, "filter", c->filter);
	json_member_bool(j, "all", c->o->flags & DECANT_CAPTURE_ALL);
	notes_ranges(j, "unreadable", &c->unreadable);
	notes_ranges(j, "mixed", &c->mixed);
	json_end(j);
}

static void notes_process(struct capture *c, struct core_process *p)
{
	struct target_family family = target_family(c->t);

	*p = (struct core_process){
		.stat = c->t->stat,
		.status = c->t->status,
		.pid = c->t->status.ns_pid ? c->t->status.ns_pid : c->t->pid,
		.ppid = family.ppid,
		.pgrp = family.pgrp,
		.sid = family.sid,
		.args = buf_str(&c->args),
		.auxv = c->auxv.data,
		.auxv_len = c->auxv.len,
		.maps = &c->maps,
	};
}

static void notes_thread(const struct capture *c, const struct stop_thread *s,
			 const struct core_process *p, struct core_thread *t)
{
	*t = (struct core_thread){
		.tid = s->ns_tid,
		.cursig = s->signal,
		.sigpend = s->sigpend,
		.sighold = s->sigmask,
		.ppid = p->ppid,
		.pgrp = p->pgrp,
		.sid = p->sid,
		.regs = &s->regs,
		.notes = s->state.notes,
		.notes_n = s->state.n,
		.siginfo = s->has_siginfo ? &s->siginfo : NULL,
	};
	(void)c;
}

int capture_notes(struct capture *c)
{
	struct core_thread *threads = sys_calloc(c->stop.n + 1, sizeof(*threads));
	struct json own = JSON_INIT;
	struct core_process p;
	size_t n = 0;
	int r;

	if (!threads)
		return capture_fail(c, -ENOMEM, "notes");
	notes_process(c, &p);
	notes_own(c, &own);
	p.own = buf_str(&own.buf);
	for (size_t i = 0; i < c->stop.n; i++)
		if (!c->stop.threads[i].dead)
			notes_thread(c, &c->stop.threads[i], &p, &threads[n++]);
	buf_clear(&c->notes);
	core_notes(&c->notes, &p, threads, n);
	r = own.buf.error ? own.buf.error : c->notes.error;
	json_free(&own);
	free(threads);
	return r < 0 ? capture_fail(c, r, "notes") : 0;
}
