/* SPDX-License-Identifier: MIT */
/*
 * Reading by a shadow: the process stands still for as long as a fork takes,
 * and its pages go into the image without a copy, as they were then.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "predump/predump.h"
#include "sys/sys.h"

/* What a fork takes for each MiB that is there, and at least: as measured on one machine. */
#define SHADOW_NS_MIB 13500ull
#define SHADOW_NS 300000ull

void predump_reason(struct predump *p, const char *mode, const char *fmt, ...)
{
	va_list ap;

	(void)snprintf(p->report->mode, sizeof(p->report->mode), "%s", mode);
	va_start(ap, fmt);
	(void)vsnprintf(p->report->mode_why, sizeof(p->report->mode_why), fmt, ap);
	va_end(ap);
}

uint64_t predump_shadow_cost_ns(const struct predump *p)
{
	if (p->shadow_ns)
		return p->shadow_ns;
	return SHADOW_NS + (p->c.t->status.vm_rss_kib >> 10) * SHADOW_NS_MIB;
}

const char *predump_shadow_not(const struct predump *p)
{
	const struct capture *c = &p->c;

	if (!caps_has(c->caps, FACT_VMSPLICE) || !caps_has(c->caps, FACT_SPLICE))
		return "there is no vmsplice() (or it is masked)";
	if (c->frozen)
		return "its cgroup is frozen: it makes no system call for us";
	if (!c->has_gadgets)
		return c->gadgets_err.text;
	return c->fork_err.text[0] ? c->fork_err.text : NULL;
}

int predump_shadow_wanted(struct predump *p)
{
	const char *not = predump_shadow_not(p);

	if (p->o->mode == DECANT_PREDUMP_READ) {
		predump_reason(p, "read", "as told");
		return 0;
	}
	if (p->o->mode == DECANT_PREDUMP_VMSPLICE) {
		if (not)
			return err_set(&p->c.err, -ENOTSUP, "predump: no shadow: %s", not);
		predump_reason(p, "vmsplice", "as told");
		return 1;
	}
	if (not)
		predump_reason(p, "read", "no shadow: %s", not);
	else
		predump_reason(p, "read", "takes no stop; a shadow takes one of %.1f ms",
			       (double)predump_shadow_cost_ns(p) / 1e6);
	return 0;
}

/* ------------------------------------------------------------ in the stop */

int predump_shadow_make(struct predump *p)
{
	struct capture *c = &p->c;
	int r = capture_open_call(c);

	if (r >= 0)
		r = shadow_make(&c->shadow, c->call, &c->err);
	if (r >= 0)
		p->shadow_ns = c->shadow.clone_ns;
	return r;
}

static int shadow_in_stop(struct predump *p)
{
	int r = predump_scope(p, false);

	if (r >= 0 && p->c.track)
		r = predump_scan(p, true);
	if (r >= 0)
		r = predump_all(p, true, &p->own);
	if (r < 0)
		return p->c.err.text[0] ? r : predump_fail(p, r, "what was written");
	return predump_shadow_make(p);
}

static int shadow_stop(void *arg)
{
	struct predump *p = arg;
	int r = capture_stop(&p->c, false, NULL);

	if (r < 0)
		return r;
	r = shadow_in_stop(p);
	capture_resume(&p->c);
	return r;
}

int predump_shadow_round(struct predump *p)
{
	int r = capture_in_tracer(&p->c, shadow_stop, p);

	if (r < 0 && !p->c.err.text[0])
		return predump_fail(p, r, "making a shadow");
	return r < 0 ? r : predump_shadow_open(p);
}

/* ------------------------------------------------------------------- after */

int predump_shadow_open(struct predump *p)
{
	struct capture *c = &p->c;
	int r = shadow_open(&c->shadow, c->t, &c->err);

	p->shadowed = r >= 0;
	return r;
}

int predump_shadow_end(struct predump *p)
{
	struct capture *c = &p->c;
	bool killed = p->shadowed && target_gone(&c->shadow.target);
	int r = 0;

	p->shadowed = false;
	if (!c->shadow.pid)
		return 0;
	r = capture_shadow_end(c);
	c->shadow = (struct shadow){ 0 };
	if (killed)
		return err_set(&c->err, -ESRCH, "the shadow of process %d was killed (out of "
			       "memory?)", (int)c->t->pid);
	/* A target that has exited takes its zombie along. */
	return r < 0 && !target_gone(c->t) ? r : 0;
}

int predump_shadow_gather(void *arg, const struct range *v, size_t n, void *data,
			  struct ranges *bad)
{
	struct predump *p = arg;
	char *to = data;
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		bool own = ranges_has(&p->own, v[i].start);

		r = pages_gather(own ? p->c.t : &p->c.shadow.target,
				 own ? PAGES_LIVE : PAGES_SHADOW, &v[i], 1, to, bad);
		to += v[i].end - v[i].start;
		p->c.copied_bytes += v[i].end - v[i].start;
	}
	return r;
}
