/* SPDX-License-Identifier: MIT */
/* Rates: in all and of one client, over time that is made up. */
#include "serve/limit.h"
#include "tap.h"

static void test_limits(void)
{
	static struct limit shared;
	struct limits l = { &shared, 1000, 0 };
	uint64_t now = 1000000000000, wait, sent = 0, other = 0;

	for (uint64_t t = 0; t < 10000; t++) {
		uint64_t n = limit_take(&l, NULL, 1000000, now + t * 1000000, &wait);

		sent += n;
		if (n == 0 && wait == 0)
			bail("nothing, and no time to wait for");
	}
	ok(sent > 9900 && sent <= 10100, "ten seconds at 1000: %llu", (unsigned long long)sent);
	l = (struct limits){ &shared, 0, 1000 };
	sent = 0;
	now += 20000000000;
	for (uint64_t t = 0; t < 10000; t++) {
		struct limit_client *c = limit_client(&l, 42, now), *d = limit_client(&l, 43, now);

		need(c && d && c != d, "two clients have two places");
		sent += limit_take(&l, c, 7, now + t * 1000000, &wait);
		other += limit_take(&l, d, 1000000, now + t * 1000000, &wait);
	}
	ok(sent > 6900 && sent <= 10100, "one takes little at a time: %llu",
	   (unsigned long long)sent);
	ok(other > 9900 && other <= 10100, "another much: %llu", (unsigned long long)other);
	now += 100000000000;
	sent = limit_take(&l, limit_client(&l, 42, now), 50, now, &wait);
	limit_return(&l, limit_client(&l, 42, now), sent);
	is_int(limit_take(&l, limit_client(&l, 42, now), 50, now, &wait), sent,
	       "what was not sent is given back");
	for (uint64_t k = 100; k < 100 + 2 * LIMIT_CLIENTS; k++)
		need(limit_client(&l, k, now), "a place for everybody");
	ok(true, "more clients than places");
}

int main(void)
{
	test_limits();
	return done();
}
