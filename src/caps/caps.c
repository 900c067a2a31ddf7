/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "caps/facts.h"
#include "caps/probe.h"
#include "sys/sys.h"

struct caps {
	/* Recursive: probes ask for other facts.  Held while probing. */
	pthread_mutex_t lock;
	struct {
		atomic_bool asked; /* outcome is there and will not change; not so
				    * while we are short of something: asked again */
		bool masked;
		struct probe outcome;
	} slot[FACT_MAX];
};

/* ---------------------------------------------------------------- the mask */

static enum fact fact_by_name(const char *name, size_t len)
{
	unsigned f;

	for (f = FACT_NONE + 1; f < FACT_MAX; f++)
		if (strlen(fact_table[f].name) == len && memcmp(fact_table[f].name, name, len) == 0)
			return (enum fact)f;
	return FACT_NONE;
}

/* With as many of the right names as the sentence has room for. */
static int caps_unknown_name(const char *name, size_t len, struct err *reterr)
{
	char known[ERR_TEXT_MAX] = "";
	size_t used = 0, room = 96;
	unsigned f;

	if (len > 32)
		len = 32;
	for (f = FACT_NONE + 1; f < FACT_MAX; f++) {
		size_t n = strlen(fact_table[f].name);

		if (used + n + 2 > room) {
			memcpy(known + used, "...", 4);
			break;
		}
		memcpy(known + used, fact_table[f].name, n);
		used += n;
		memcpy(known + used, ", ", 3);
		used += 2;
	}
	return err_set(reterr, -EINVAL, "mask: \"%.*s\" is not a fact; facts are %s", (int)len,
		       name, known);
}

static int caps_apply_mask(struct caps *c, const char *mask, struct err *reterr)
{
	const char *p = mask;

	while (p && *p) {
		size_t len = strcspn(p, ","), skip = strspn(p, " \t");
		const char *name = p + (skip < len ? skip : len);
		size_t n = len - (size_t)(name - p);
		enum fact f;

		while (n > 0 && (name[n - 1] == ' ' || name[n - 1] == '\t'))
			n--;
		if (n > 0) {
			f = fact_by_name(name, n);
			if (f == FACT_NONE)
				return caps_unknown_name(name, n, reterr);
			c->slot[f].masked = true;
		}
		p += len + (p[len] == ',');
	}
	return 0;
}

/* ------------------------------------------------------------------ asking */

/* What is said of a fact that will be asked again; nobody writes to it. */
static const struct probe caps_short = {
	.state = FACT_UNKNOWN,
	.passing = true,
	.why = { "could not be tried now: short of descriptors, memory or space" },
};

static const struct probe *caps_ask(struct caps *c, enum fact f);

static bool caps_lacks_need(struct caps *c, const struct fact_row *row, struct probe *p)
{
	unsigned i;

	for (i = 0; i < FACT_NEEDS_MAX && row->needs[i] != FACT_NONE; i++) {
		enum fact_state s = caps_state(c, row->needs[i]);

		if (s == FACT_YES)
			continue;
		p->passing = caps_ask(c, row->needs[i])->passing;
		(void)err_set(&p->why, 0, "needs %s: %s", fact_table[row->needs[i]].name,
			      caps_why(c, row->needs[i]));
		p->state = row->no_is_a_promise ? FACT_UNKNOWN : s;
		return true;
	}
	return false;
}

static const struct probe *caps_ask(struct caps *c, enum fact f)
{
	const struct probe *ret;
	struct probe p = { .state = FACT_UNKNOWN };

	if ((unsigned)f >= FACT_MAX)
		f = FACT_NONE;
	ret = &c->slot[f].outcome;
	if (atomic_load_explicit(&c->slot[f].asked, memory_order_acquire))
		return ret;
	(void)pthread_mutex_lock(&c->lock);
	if (!atomic_load_explicit(&c->slot[f].asked, memory_order_relaxed)) {
		if (c->slot[f].masked)
			probe_no(&p, "masked");
		else if (fact_table[f].probe && !caps_lacks_need(c, &fact_table[f], &p))
			fact_table[f].probe(c, &p);
		if (p.passing && p.state == FACT_UNKNOWN) {
			ret = &caps_short;
		} else {
			c->slot[f].outcome = p;
			atomic_store_explicit(&c->slot[f].asked, true, memory_order_release);
		}
	}
	(void)pthread_mutex_unlock(&c->lock);
	return ret;
}

int caps_create(struct caps **ret, const char *mask, struct err *reterr)
{
	pthread_mutexattr_t recursive;
	struct caps *c;
	int r;

	c = sys_calloc(1, sizeof(*c));
	if (!c)
		return err_errno(reterr, -ENOMEM, "facts");
	(void)pthread_mutexattr_init(&recursive);
	(void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	(void)pthread_mutex_init(&c->lock, &recursive);
	(void)pthread_mutexattr_destroy(&recursive);
	r = caps_apply_mask(c, mask, reterr);
	if (r < 0) {
		caps_destroy(c);
		return r;
	}
	*ret = c;
	return 0;
}

void caps_destroy(struct caps *c)
{
	if (!c)
		return;
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

bool caps_has(struct caps *c, enum fact f)
{
	return caps_state(c, f) == FACT_YES;
}

bool caps_denies(struct caps *c, enum fact f)
{
	return caps_state(c, f) == FACT_NO && !caps_masked(c, f);
}

enum fact_state caps_state(struct caps *c, enum fact f)
{
	return caps_ask(c, f)->state;
}

uint64_t caps_value(struct caps *c, enum fact f)
{
	return caps_ask(c, f)->value;
}

const char *caps_why(struct caps *c, enum fact f)
{
	return caps_ask(c, f)->why.text;
}

bool caps_masked(struct caps *c, enum fact f)
{
	return (unsigned)f < FACT_MAX && c->slot[f].masked;
}

const char *caps_name(enum fact f)
{
	return fact_table[(unsigned)f < FACT_MAX ? f : FACT_NONE].name;
}

const char *caps_what(enum fact f)
{
	return fact_table[(unsigned)f < FACT_MAX ? f : FACT_NONE].what;
}
