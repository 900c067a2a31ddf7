/* SPDX-License-Identifier: MIT */
#include "lib/oracle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "victims/counter.h"

__attribute__((format(printf, 2, 3)))
static void oracle_say(struct oracle *o, const char *fmt, ...)
{
	va_list ap;

	if (o->what[0])
		return;
	va_start(ap, fmt);
	vsnprintf(o->what, sizeof(o->what), fmt, ap);
	va_end(ap);
}

/* What memory and registers must be, seen from where the writer stands. */
struct oracle_place {
	unsigned stores;          /* of step k's that are done */
	uint64_t page;            /* that they go to */
	bool known;               /* r12 holds `r12` */
	uint64_t r12;
	bool vector;              /* and so does xmm15 */
};

static void oracle_place(const struct counter_ctl *ctl, const struct corefile_thread *t,
			 uint64_t k, struct oracle_place *ret)
{
	const uint64_t *at = ctl->label, ip = t ? t->regs.rip : 0;

	memset(ret, 0, sizeof(*ret));
	ret->r12 = k;
	ret->known = (ip >= at[LABEL_BEGIN] && ip < at[LABEL_END]) || ip == at[LABEL_SLEEP];
	if (ip <= at[LABEL_W0] || ip > at[LABEL_W4]) {
		ret->vector = ip == at[LABEL_W0];
		return;
	}
	ret->vector = true;
	if (ip == at[LABEL_W4])
		ret->r12 = k - 1;
	else
		ret->stores = 1 + (ip > at[LABEL_W1]) + (ip > at[LABEL_W2]);
}

static void oracle_registers(struct oracle *o, const struct corefile_thread *t,
			     const struct oracle_place *place, unsigned i)
{
	uint64_t xmm15 = 0;

	if (!t) {
		o->wrong++;
		oracle_say(o, "writer %u is not among the threads", i);
		return;
	}
	if (!place->known)
		return;
	o->registers++;
	o->between += place->stores > 0;
	if (t->regs.r12 != place->r12) {
		o->wrong++;
		oracle_say(o, "writer %u: r12 is %" PRIu64 ", memory says %" PRIu64, i,
			   (uint64_t)t->regs.r12, place->r12);
	}
	if (!place->vector)
		return;
	if (t->has_fp)
		memcpy(&xmm15, &t->fp.xmm_space[15 * 4], sizeof(xmm15));
	if (xmm15 != place->r12) {
		o->wrong++;
		oracle_say(o, "writer %u: xmm15 is %" PRIu64 ", memory says %" PRIu64, i, xmm15,
			   place->r12);
	}
}

static bool oracle_page(const unsigned char *p, const struct counter_ctl *ctl, unsigned i,
			uint64_t k, uint64_t page, unsigned stores)
{
	uint64_t old = counter_value(counter_last(k, page, (unsigned)ctl->bits), i);
	uint64_t new = counter_value(k, i), got;
	unsigned w;

	for (w = 0; w < COUNTER_WORDS; w++) {
		memcpy(&got, p + counter_word[w], sizeof(got));
		if (got != (w < stores ? new : old))
			return false;
	}
	for (w = 0; w < 2; w++) {
		memcpy(&got, p + counter_still[w], sizeof(got));
		if (got != counter_still_value(((uint64_t)i << ctl->bits) + page, w))
			return false;
	}
	return true;
}

static void oracle_thread(struct oracle *o, const struct corefile *c,
			  const struct counter_ctl *ctl, unsigned i)
{
	uint64_t k = ctl->thread[i].k, n = (uint64_t)1 << ctl->bits, page, addr, now;
	const struct corefile_thread *t = corefile_thread(c, (int32_t)ctl->thread[i].tid);
	struct oracle_place place;
	const unsigned char *p;

	oracle_place(ctl, t, k, &place);
	oracle_registers(o, t, &place, i);
	now = counter_page_of(k >> ctl->bits, k & (n - 1), (unsigned)ctl->bits);
	for (page = 0; page < n; page++) {
		addr = COUNTER_BASE + (((uint64_t)i << ctl->bits) + page) * COUNTER_PAGE;
		p = corefile_memory(c, addr, COUNTER_PAGE);
		o->pages++;
		if (!p) {
			o->missing++;
			oracle_say(o, "page %" PRIu64 " of writer %u is not in the core", page, i);
		} else if (!oracle_page(p, ctl, i, k, page, page == now ? place.stores : 0)) {
			o->torn++;
			oracle_say(o, "page %" PRIu64 " (0x%" PRIx64 ") of writer %u is not that "
				   "of step %" PRIu64, page, addr, i, k);
		}
	}
}

static void oracle_churn(struct oracle *o, const struct corefile *c, const struct counter_ctl *ctl)
{
	uint64_t i, got;
	const unsigned char *p;

	if (!ctl->churn_addr)
		return;
	o->churned = 1;
	for (i = 0; i < ctl->churn_pages && i < 4096; i++) {
		p = corefile_memory(c, ctl->churn_addr + i * COUNTER_PAGE, COUNTER_PAGE);
		if (!p) {
			o->missing++;
			oracle_say(o, "a mapping that is published is not in the core");
			return;
		}
		memcpy(&got, p, sizeof(got));
		if (got != ctl->churn_value) {
			o->torn++;
			oracle_say(o, "page %" PRIu64 " of a published mapping holds %" PRIu64
				   ", not %" PRIu64, i, got, ctl->churn_value);
		}
	}
}

bool oracle_check(const struct corefile *c, struct oracle *ret)
{
	const void *at = corefile_memory(c, COUNTER_CTL, sizeof(struct counter_ctl));
	struct counter_ctl ctl = { 0 };
	unsigned i;

	memset(ret, 0, sizeof(*ret));
	/* gcore aligns nothing. */
	if (at)
		memcpy(&ctl, at, sizeof(ctl));
	if (ctl.magic != COUNTER_MAGIC || ctl.threads == 0 || ctl.threads > COUNTER_THREADS_MAX ||
	    ctl.bits > 30) {
		ret->wrong++;
		oracle_say(ret, "the counters are not in the core");
		return false;
	}
	ret->threads = c->threads_n;
	for (i = 0; i < ctl.threads; i++)
		oracle_thread(ret, c, &ctl, i);
	oracle_churn(ret, c, &ctl);
	return ret->torn + ret->missing + ret->wrong == 0;
}

bool oracle_check_file(const char *path, struct oracle *ret)
{
	struct corefile c;
	bool good = corefile_open(&c, path);

	memset(ret, 0, sizeof(*ret));
	if (good) {
		good = oracle_check(&c, ret);
	} else {
		ret->wrong++;
		oracle_say(ret, "%s", c.why);
	}
	corefile_close(&c);
	return good;
}
