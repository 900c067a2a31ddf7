/* SPDX-License-Identifier: MIT */
/* The report for people. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "policy/report_private.h"

static const char *text_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void text_bytes(struct buf *b, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		buf_printf(b, "%" PRIu64 " B", bytes);
		return;
	}
	for (; v >= 1024 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		v /= 1024;
	buf_printf(b, "%.1f %s", v, units[i]);
}

static void text_kinds(struct buf *b, const struct report_site *s, bool in)
{
	uint32_t kinds = in ? s->counts.in_kinds : s->counts.out_kinds;
	const char *separator = "";

	for (uint32_t k = 0; k < KIND_MAX; k++) {
		if (!(kinds & 1u << k))
			continue;
		buf_printf(b, "%s%s", separator, report_end(s, in, k));
		separator = "|";
	}
}

static void text_errors(struct buf *b, const struct report_counts *c)
{
	for (size_t i = 0; i < REPORT_ERRORS && c->errors[i].error; i++) {
		const char *name = strerrorname_np(c->errors[i].error);

		buf_printf(b, "%s%s", i ? ", " : " (", name ? name : "?");
		if (c->errors[i].n != c->failed)
			buf_printf(b, " x%" PRIu32, c->errors[i].n);
	}
	if (c->errors[0].error)
		buf_putc(b, ')');
}

static void text_findings(struct buf *b, const struct report_counts *c)
{
	char text[200];

	for (uint32_t f = 0; f < FINDING_MAX; f++) {
		if (!(c->findings & 1u << f))
			continue;
		policy_finding_text((enum policy_finding)f, c->finding_fd, text, sizeof(text));
		buf_printf(b, "    * %s\n", text);
	}
}

static void text_site(struct buf *b, const struct report_site *s, double ns_per_byte)
{
	const struct report_counts *c = &s->counts;
	char where[SITE_PATH_MAX + SITE_SYMBOL_MAX + 32], flags[96];

	report_where(s, where, sizeof(where));
	report_flags(c->flags, "|", flags, sizeof(flags));
	buf_printf(b, "  %s at %s: %" PRIu64 " call%s", policy_call_name(s->call), where, c->calls,
		   text_plural(c->calls));
	if (s->call != CALL_IO_URING_SETUP) {
		buf_puts(b, ", ");
		text_bytes(b, c->bytes);
		if (c->unknown)
			buf_printf(b, " and what %" PRIu64 " call%s moved unseen",
				   c->unknown, text_plural(c->unknown));
		buf_puts(b, ", ");
		text_kinds(b, s, true);
		buf_puts(b, " to ");
		text_kinds(b, s, false);
	}
	if (flags[0])
		buf_printf(b, ", %s", flags);
	buf_putc(b, '\n');
	if (c->failed) {
		buf_printf(b, "    %" PRIu64 " failed", c->failed);
		text_errors(b, c);
		buf_putc(b, '\n');
	}
	buf_printf(b, "    lost against native: about %.3f ms\n",
		   (double)(c->ns + report_copy_ns(c, ns_per_byte)) / 1e6);
	text_findings(b, c);
}

static void text_program(struct buf *b, const struct report_program *p, double ns_per_byte,
			 bool holes)
{
	bool fails = false, vmsplice = false;

	buf_printf(b, "%s", p->exe);
	if (p->images > 1)
		buf_printf(b, " (%" PRIu64 " processes)", p->images);
	buf_putc(b, '\n');
	for (const struct report_site *s = p->sites; s; s = s->next) {
		text_site(b, s, ns_per_byte);
		fails |= report_fails(s->counts.findings);
		vmsplice |= s->call == CALL_VMSPLICE;
	}
	if (vmsplice && !fails)
		buf_printf(b, "  verdict: nothing seen that copy-v1 or copy-v2 would change but "
			   "the time it takes%s\n", holes ? "; but see NOT SEEN above" : "");
}

static void text_status(struct buf *b, int status)
{
	if (WIFSIGNALED(status))
		buf_printf(b, "died of SIG%s", sigabbrev_np(WTERMSIG(status)));
	else
		buf_printf(b, "exit status %d", WEXITSTATUS(status));
}

int report_text(struct report *r, const struct report_head *h, struct buf *ret)
{
	double ns_per_byte = report_ns_per_byte();
	struct buf *b = ret;
	char policy[64];
	bool any = false;

	(void)pthread_mutex_lock(&r->lock);
	policy_text(&r->policy, policy, sizeof(policy));
	for (size_t i = 0; i < r->holes.n; i++)
		buf_printf(b, "NOT SEEN: %s\n", r->holes.text[i]);
	if (r->dropped)
		buf_printf(b, "NOT SEEN: memory ran out for %" PRIu64 " calls\n", r->dropped);
	buf_printf(b, "policy %s, by %s (%s)\n%s: ", policy, h->mechanism, h->why, h->command);
	text_status(b, h->status);
	buf_printf(b, " after %.3f s, %" PRIu64 " call%s\n", (double)h->elapsed_ns / 1e9, r->calls,
		   text_plural(r->calls));
	for (size_t i = 0; i < r->notes.n; i++)
		buf_printf(b, "note: %s\n", r->notes.text[i]);
	for (const struct report_program *p = r->programs; p; p = p->next)
		if (p->sites) {
			text_program(b, p, ns_per_byte, r->holes.n || r->dropped);
			any = true;
		}
	if (!any)
		buf_puts(b, r->holes.n ? "no call was seen, which says nothing: see above\n" :
					 "none of the calls that policies are about was made\n");
	(void)pthread_mutex_unlock(&r->lock);
	return b->error;
}
