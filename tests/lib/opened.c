/* SPDX-License-Identifier: MIT */
#include "lib/opened.h"

#include "lib/facts.h"
#include "tap.h"

struct caps *opened_caps;

void opened_mask(const char *mask)
{
	caps_destroy(opened_caps);
	opened_caps = facts_masked(mask);
}

struct end opened(struct decant_end said, enum end_side side)
{
	struct err err = { "" };
	struct end e;

	need(end_init(&e, &said, side, &err) == 0 && end_open(&e, opened_caps, &err) == 0,
	     "end: %s", err.text);
	return e;
}

struct end opened_fd(uint32_t kind, int fd, uint64_t offset, enum end_side side)
{
	return opened((struct decant_end){ .kind = kind, .fd = fd, .offset = offset }, side);
}

struct end opened_memory(void *addr, uint64_t len, enum end_side side)
{
	return opened((struct decant_end){ .kind = DECANT_END_MEMORY, .addr = addr, .len = len },
		      side);
}

int64_t opened_fill_by(struct end *e, unsigned writes_max)
{
	static char junk[1 << 16];
	int64_t n, sum = 0;
	unsigned i;

	for (i = 0; i < writes_max; i++) {
		n = end_write(e, 0, junk, sizeof(junk), false);
		if (n == -EAGAIN)
			return sum;
		if (!ok(n > 0, "a write into a pipe with room: %jd", (intmax_t)n))
			return -1;
		sum += n;
	}
	return -1;
}

int64_t opened_fill(struct end *e)
{
	return opened_fill_by(e, 4096);
}
