/* SPDX-License-Identifier: MIT */
#include "lib/asked.h"

#include <string.h>

#include "lib/facts.h"
#include "tap.h"

struct query asked(const struct end *from, const struct end *to, uint64_t len)
{
	return (struct query){ .from = from, .to = to, .len = len, .expect = len, .uring = true };
}

const char *asked_choice(const struct cost_table *costs, struct query q, const char *mask)
{
	const struct route *r = NULL;

	q.caps = facts_masked(mask);
	(void)plan_choose(&q, NULL, costs, NULL, &r, NULL);
	caps_destroy(q.caps);
	return r ? r->ops.name : NULL;
}

void asked_says(const char *text, const char *words)
{
	ok(strstr(text, words), "\"%s\" has \"%s\"", text, words);
}
