/* SPDX-License-Identifier: MIT */
/* The report for programs. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/json.h"
#include "policy/report_private.h"

static void json_names(struct json *j, const char *key, uint32_t bits, uint32_t max,
		       const struct report_site *s, bool in)
{
	json_key(j, key);
	json_array(j);
	for (uint32_t k = 0; k < max; k++)
		if (bits & 1u << k)
			json_string(j, report_end(s, in, k));
	json_end(j);
}

static void json_flags(struct json *j, uint32_t flags)
{
	char text[96], *rest = NULL, *word;

	report_flags(flags, " ", text, sizeof(text));
	json_key(j, "flags");
	json_array(j);
	for (word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		json_string(j, word);
	json_end(j);
}

static void json_errors(struct json *j, const struct report_counts *c)
{
	json_key(j, "errors");
	json_array(j);
	for (size_t i = 0; i < REPORT_ERRORS && c->errors[i].error; i++) {
		const char *name = strerrorname_np(c->errors[i].error);

		json_object(j);
		json_member_string(j, "error", name ? name : "?");
		json_member_u64(j, "calls", c->errors[i].n);
		json_end(j);
	}
	json_end(j);
}

static void json_findings(struct json *j, const struct report_counts *c)
{
	char text[200];

	json_key(j, "findings");
	json_array(j);
	for (uint32_t f = 0; f < FINDING_MAX; f++) {
		if (!(c->findings & 1u << f))
			continue;
		policy_finding_text((enum policy_finding)f, c->finding_fd, text, sizeof(text));
		json_object(j);
		json_member_string(j, "name", policy_finding_name((enum policy_finding)f));
		json_member_string(j, "text", text);
		json_end(j);
	}
	json_end(j);
}

static void json_site(struct json *j, const struct report_site *s, double ns_per_byte)
{
	const struct report_counts *c = &s->counts;

	json_object(j);
	json_member_string(j, "call", policy_call_name(s->call));
	json_member_string(j, "module", s->place.module);
	json_member_u64(j, "offset", s->place.offset);
	json_member_string(j, "symbol", s->symbol[0] ? s->symbol : NULL);
	json_member_u64(j, "calls", c->calls);
	json_member_u64(j, "asked_bytes", c->asked_bytes);
	json_member_u64(j, "bytes", c->bytes);
	json_member_u64(j, "results_not_seen", c->unknown);
	json_member_u64(j, "failed", c->failed);
	json_errors(j, c);
	json_flags(j, c->flags);
	json_names(j, "from", c->in_kinds, KIND_MAX, s, true);
	json_names(j, "to", c->out_kinds, KIND_MAX, s, false);
	json_member_u64(j, "lost_ns", c->ns + report_copy_ns(c, ns_per_byte));
	json_findings(j, c);
	json_end(j);
}

static void json_lines(struct json *j, const char *key, const struct report_lines *lines)
{
	json_key(j, key);
	json_array(j);
	for (size_t i = 0; i < lines->n; i++)
		json_string(j, lines->text[i]);
	json_end(j);
}

static void json_head(struct json *j, const struct report *r, const struct report_head *h)
{
	char policy[64];

	policy_text(&r->policy, policy, sizeof(policy));
	json_member_string(j, "command", h->command);
	json_member_string(j, "policy", policy);
	json_member_string(j, "mechanism", h->mechanism);
	json_member_string(j, "why", h->why);
	if (WIFSIGNALED(h->status))
		json_member_i64(j, "signal", WTERMSIG(h->status));
	else
		json_member_i64(j, "status", WEXITSTATUS(h->status));
	json_member_u64(j, "elapsed_ns", h->elapsed_ns);
	json_member_u64(j, "calls", r->calls);
	json_member_u64(j, "dropped_calls", r->dropped);
	json_lines(j, "not_seen", &r->holes);
	json_lines(j, "notes", &r->notes);
}

int report_json(struct report *r, const struct report_head *h, struct buf *ret)
{
	double ns_per_byte = report_ns_per_byte();
	struct json j = JSON_INIT;

	(void)pthread_mutex_lock(&r->lock);
	json_object(&j);
	json_head(&j, r, h);
	json_key(&j, "programs");
	json_array(&j);
	for (const struct report_program *p = r->programs; p; p = p->next) {
		json_object(&j);
		json_member_string(&j, "exe", p->exe);
		json_member_u64(&j, "processes", p->images);
		json_key(&j, "sites");
		json_array(&j);
		for (const struct report_site *s = p->sites; s; s = s->next)
			json_site(&j, s, ns_per_byte);
		json_end(&j);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	(void)pthread_mutex_unlock(&r->lock);
	buf_puts(ret, buf_str(&j.buf));
	buf_putc(ret, '\n');
	if (j.buf.error && !ret->error)
		ret->error = j.buf.error;
	json_free(&j);
	return ret->error;
}
