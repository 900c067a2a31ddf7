/* SPDX-License-Identifier: MIT */
#include "policy/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/report_private.h"
#include "policy/symbols.h"
#include "sys/sys.h"

int report_create(struct report **ret, const struct policy *p, bool counted,
		  void (*line)(void *arg, const char *text), void *arg)
{
	struct report *r = sys_calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	(void)pthread_mutex_init(&r->lock, NULL);
	r->policy = *p;
	r->counted = counted;
	r->line = line;
	r->arg = arg;
	*ret = r;
	return 0;
}

static void report_free_process(struct report_process **at)
{
	struct report_process *p = *at;

	*at = p->next;
	site_maps_deinit(&p->maps);
	free(p);
}

void report_destroy(struct report *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < REPORT_BUCKETS; i++)
		while (r->process[i])
			report_free_process(&r->process[i]);
	while (r->programs) {
		struct report_program *p = r->programs;

		r->programs = p->next;
		while (p->sites) {
			struct report_site *s = p->sites;

			p->sites = s->next;
			free(s);
		}
		free(p);
	}
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

/* ---------------------------------------------------------- who, and where */

static struct report_program *report_program(struct report *r, const char *exe)
{
	struct report_program *p;

	for (p = r->programs; p; p = p->next)
		if (strcmp(p->exe, exe) == 0)
			return p;
	p = sys_calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	(void)snprintf(p->exe, sizeof(p->exe), "%s", exe);
	if (r->last)
		r->last->next = p;
	else
		r->programs = p;
	r->last = p;
	return p;
}

static struct report_process **report_slot(struct report *r, pid_t tgid)
{
	struct report_process **at = &r->process[(unsigned)tgid % REPORT_BUCKETS];

	while (*at && (*at)->tgid != tgid)
		at = &(*at)->next;
	return at;
}

static struct report_process *report_process(struct report *r, pid_t tgid)
{
	struct report_process **at = report_slot(r, tgid);
	char path[48], exe[SITE_PATH_MAX];

	if (*at)
		return *at;
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)tgid);
	if (sys_readlink(path, exe, sizeof(exe)) < 0)
		(void)snprintf(exe, sizeof(exe), "(unknown)");
	*at = sys_calloc(1, sizeof(**at));
	if (!*at)
		return NULL;
	(*at)->tgid = tgid;
	(*at)->program = report_program(r, exe);
	if (!(*at)->program) {
		report_free_process(at);
		return NULL;
	}
	(*at)->program->images++;
	return *at;
}

static struct report_site *report_site_at(struct report_program *p, enum policy_call call,
					  const struct site_place *place, bool *ret_new)
{
	struct report_site *s;

	*ret_new = false;
	for (s = p->sites; s; s = s->next)
		if (s->call == call && s->place.offset == place->offset &&
		    strcmp(s->place.module, place->module) == 0)
			return s;
	s = sys_calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	*ret_new = true;
	s->call = call;
	s->place = *place;
	s->counts.finding_fd = -1;
	if (p->last)
		p->last->next = s;
	else
		p->sites = s;
	p->last = s;
	return s;
}

/* Modules are named as the program sees them: it may have another root. */
static void report_symbol(pid_t tgid, struct report_site *s)
{
	char path[SITE_PATH_MAX + 32];

	if (s->place.module[0] != '/')
		return;
	(void)snprintf(path, sizeof(path), "/proc/%d/root%s", (int)tgid, s->place.module);
	/* The call itself, not what comes after it. */
	symbol_find(path, s->place.offset - 1, s->symbol, sizeof(s->symbol));
}

static struct report_site *report_site(struct report_process *p, enum policy_call call, uint64_t ip,
				       uint64_t sp, bool is_32bit)
{
	struct report_site *s;
	struct site_place place;
	uint64_t caller;
	size_t slot;
	bool made;

	site_caller(&p->maps, p->tgid, ip, sp, is_32bit, &caller);
	slot = (size_t)((caller >> 1) ^ (caller >> 9)) % REPORT_CACHE;
	s = p->cache[slot].site;
	if (s && p->cache[slot].caller == caller && s->call == call)
		return s;
	site_place(&p->maps, p->tgid, caller, &place);
	s = report_site_at(p->program, call, &place, &made);
	if (s && made)
		report_symbol(p->tgid, s);
	p->cache[slot].caller = caller;
	p->cache[slot].site = s;
	return s;
}

void report_exec(struct report *r, pid_t tgid)
{
	report_exit(r, tgid);
	if (!r->counted)
		return;
	(void)pthread_mutex_lock(&r->lock);
	(void)report_process(r, tgid);
	(void)pthread_mutex_unlock(&r->lock);
}

void report_exit(struct report *r, pid_t tgid)
{
	struct report_process **at;

	(void)pthread_mutex_lock(&r->lock);
	at = report_slot(r, tgid);
	if (*at)
		report_free_process(at);
	(void)pthread_mutex_unlock(&r->lock);
}

/* ----------------------------------------------------------------- counting */

static void report_error(struct report_counts *c, int32_t error, uint32_t n)
{
	for (size_t i = 0; i < REPORT_ERRORS; i++) {
		if (c->errors[i].error && c->errors[i].error != error)
			continue;
		c->errors[i].error = error;
		c->errors[i].n += n;
		return;
	}
}

static void report_counts_one(struct report_counts *to, const struct report_call *c)
{
	uint32_t findings = c->findings | c->verdict.findings;

	to->calls++;
	to->asked_bytes += c->asked_bytes;
	to->ns += c->ns;
	to->flags |= c->flags;
	to->in_kinds |= 1u << (c->in_kind % KIND_MAX);
	to->out_kinds |= 1u << (c->out_kind % KIND_MAX);
	to->actions |= 1u << c->verdict.action;
	if (findings & ~to->findings)
		to->finding_fd = c->fd;
	to->findings |= findings;
	if (c->result == REPORT_UNKNOWN) {
		to->unknown++;
	} else if (c->result >= 0) {
		to->bytes += c->call == CALL_IO_URING_SETUP ? 0 : (uint64_t)c->result;
	} else {
		to->failed++;
		report_error(to, (int32_t)-c->result, 1);
	}
}

static void report_warn(struct report *r, const char *exe, pid_t tgid, struct report_site *s)
{
	char where[SITE_PATH_MAX + SITE_SYMBOL_MAX + 32], text[REPORT_LINE_MAX];

	if (s->warned || !r->line)
		return;
	s->warned = true;
	report_where(s, where, sizeof(where));
	(void)snprintf(text, sizeof(text), "%s[%d]: vmsplice with SPLICE_F_GIFT at %s: would be "
		       "without effect under copy-v1 and copy-v2", exe, (int)tgid,
		       where);
	r->line(r->arg, text);
}

struct report_site *report_call(struct report *r, const struct report_call *c)
{
	bool unknown = c->call == CALL_VMSPLICE && c->result == REPORT_UNKNOWN;
	bool ring = c->call == CALL_IO_URING_SETUP &&
		    (c->result >= 0 || c->result == REPORT_UNKNOWN);
	char exe[SITE_PATH_MAX] = "a program";
	struct report_process *p;
	struct report_site *s;

	(void)pthread_mutex_lock(&r->lock);
	r->calls++;
	p = report_process(r, c->tgid);
	s = p ? report_site(p, c->call, c->ip, c->sp, c->is_32bit) : NULL;
	if (s) {
		report_counts_one(&s->counts, c);
		if (c->verdict.warn)
			report_warn(r, p->program->exe, c->tgid, s);
	} else {
		r->dropped++;
	}
	if (p)
		memcpy(exe, p->program->exe, sizeof(exe));
	unknown = unknown && !r->unknown;
	r->unknown |= unknown;
	(void)pthread_mutex_unlock(&r->lock);
	if (unknown)
		report_hole(r, "what vmsplice returned: mechanism notify hands it to the kernel, "
			    "so that who polls for EAGAIN or gets a part only is not found; trace "
			    "sees it");
	if (ring)
		report_hole(r, "%s set up io_uring: what it splices through the ring is not seen "
			    "from outside the kernel", exe);
	return s;
}

void report_finding(struct report *r, struct report_site *site, enum policy_finding f, int fd)
{
	(void)pthread_mutex_lock(&r->lock);
	site->counts.findings |= 1u << f;
	site->counts.finding_fd = fd;
	(void)pthread_mutex_unlock(&r->lock);
}

static void report_add_counts(struct report_counts *to, const struct report_counts *from)
{
	to->calls += from->calls;
	to->asked_bytes += from->asked_bytes;
	to->bytes += from->bytes;
	to->unknown += from->unknown;
	to->failed += from->failed;
	to->ns += from->ns;
	to->flags |= from->flags;
	to->in_kinds |= from->in_kinds & ((1u << KIND_MAX) - 1);
	to->out_kinds |= from->out_kinds & ((1u << KIND_MAX) - 1);
	to->actions |= from->actions;
	to->findings |= from->findings & ((1u << FINDING_MAX) - 1);
	if (from->findings)
		to->finding_fd = from->finding_fd;
	for (size_t i = 0; i < REPORT_ERRORS; i++)
		if (from->errors[i].error > 0)
			report_error(to, from->errors[i].error, from->errors[i].n);
}

void report_add(struct report *r, pid_t tgid, const char *exe, enum policy_call call,
		const char *module, uint64_t offset, const char *symbol,
		const struct report_counts *counts)
{
	struct site_place place = { .offset = offset };
	struct report_program *p;
	struct report_site *s;
	bool made;

	if (call >= CALL_MAX)
		return;
	(void)snprintf(place.module, sizeof(place.module), "%s", module);
	(void)pthread_mutex_lock(&r->lock);
	p = report_program(r, exe);
	s = p ? report_site_at(p, call, &place, &made) : NULL;
	if (s) {
		if (made)
			(void)snprintf(s->symbol, sizeof(s->symbol), "%s", symbol);
		report_add_counts(&s->counts, counts);
		if (r->policy.vmsplice == POLICY_WARN && counts->findings & 1u << FINDING_GIFT)
			report_warn(r, exe, tgid, s);
		r->calls += counts->calls;
	} else {
		r->dropped += counts->calls;
	}
	(void)pthread_mutex_unlock(&r->lock);
}

void report_image(struct report *r, const char *exe)
{
	struct report_program *p;

	(void)pthread_mutex_lock(&r->lock);
	p = report_program(r, exe);
	if (p)
		p->images++;
	(void)pthread_mutex_unlock(&r->lock);
}

uint64_t report_calls(struct report *r)
{
	uint64_t n;

	(void)pthread_mutex_lock(&r->lock);
	n = r->calls;
	(void)pthread_mutex_unlock(&r->lock);
	return n;
}

static void report_say(struct report *r, struct report_lines *to, const char *fmt, va_list ap)
{
	char text[REPORT_LINE_MAX];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	(void)pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < to->n; i++)
		if (strcmp(to->text[i], text) == 0)
			text[0] = '\0';
	if (text[0] && to->n < REPORT_LINES_MAX)
		memcpy(to->text[to->n++], text, sizeof(text));
	(void)pthread_mutex_unlock(&r->lock);
}

void report_hole(struct report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_say(r, &r->holes, fmt, ap);
	va_end(ap);
}

void report_note(struct report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_say(r, &r->notes, fmt, ap);
	va_end(ap);
}
