/* SPDX-License-Identifier: MIT */
#include "lib/said.h"

#include <string.h>

#include "lib/facts.h"
#include "tap.h"

struct decant_end said_fd(uint32_t kind, int fd, uint64_t offset)
{
	return (struct decant_end){ .kind = kind, .fd = fd, .offset = offset };
}

struct decant_end said_memory(void *addr, uint64_t len)
{
	return (struct decant_end){ .kind = DECANT_END_MEMORY, .fd = -1, .addr = addr, .len = len };
}

struct end said_learned(struct decant_end said, enum end_side side, const char *mask)
{
	struct caps *c = facts_masked(mask);
	struct end e;
	struct err err = { "" };

	need(end_init(&e, &said, side, &err) == 0, "end: %s", err.text);
	end_learn(&e, c);
	caps_destroy(c);
	return e;
}

void said_refused(struct decant_end said, enum end_side side, int code, const char *words)
{
	struct end e = { .fd = 4711 };
	struct err err = { "" };

	is_int(end_init(&e, &said, side, &err), code, "refused: %s", words);
	ok(strstr(err.text, words), "the sentence \"%s\" has \"%s\"", err.text, words);
	is_int(e.fd, 4711, "nothing is written after a refusal");
}
