/* SPDX-License-Identifier: MIT */
/* Parts of sentences that the text and JSON share, and what the copying cost. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/report_private.h"
#include "sys/sys.h"

#define WORDS_BYTES 65536
#define WORDS_ROUNDS 24

static const struct {
	uint32_t bit;
	const char *name;
} words_flags[] = {
	{ SPLICE_F_MOVE, "SPLICE_F_MOVE" },
	{ SPLICE_F_NONBLOCK, "SPLICE_F_NONBLOCK" },
	{ SPLICE_F_MORE, "SPLICE_F_MORE" },
	{ SPLICE_F_GIFT, "SPLICE_F_GIFT" },
};

void report_flags(uint32_t flags, const char *separator, char *ret, size_t size)
{
	size_t len = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < sizeof(words_flags) / sizeof(words_flags[0]) && len < size; i++)
		if (flags & words_flags[i].bit)
			len += (size_t)snprintf(ret + len, size - len, "%s%s", len ? separator : "",
						words_flags[i].name);
}

const char *report_end(const struct report_site *s, bool in, uint32_t kind)
{
	(void)in;
	if (s->call == CALL_VMSPLICE && kind == KIND_NONE)
		return "memory";
	return policy_kind_name((enum policy_kind)kind);
}

void report_where(const struct report_site *s, char *ret, size_t size)
{
	const char *name = strrchr(s->place.module, '/');

	name = name ? name + 1 : s->place.module;
	if (s->symbol[0])
		(void)snprintf(ret, size, "%s (%s+0x%" PRIx64 ")", s->symbol, name,
			       s->place.offset);
	else if (name[0])
		(void)snprintf(ret, size, "%s+0x%" PRIx64, name, s->place.offset);
	else
		(void)snprintf(ret, size, "0x%" PRIx64, s->place.offset);
}

bool report_fails(uint32_t findings)
{
	return findings & (1u << FINDING_FIFO_NOWAIT | 1u << FINDING_FIFO_V2 |
			   1u << FINDING_AFTER_SPLICE_V1 | 1u << FINDING_AFTER_SPLICE_V2 |
			   1u << FINDING_EINVAL_V2 | 1u << FINDING_SHORT_V1 |
			   1u << FINDING_O_NONBLOCK | 1u << FINDING_MODIFIED);
}

/* ---------------------------------------------------------------- its price */

static uint64_t words_time(int fds[2], const struct iovec *iov, bool copy, void *drain)
{
	uint64_t best = UINT64_MAX, begun, took;

	for (int i = 0; i < WORDS_ROUNDS; i++) {
		ssize_t n;

		begun = sys_clock_ns();
		n = copy ? sys_pwritev2(fds[1], iov, 1, UINT64_MAX, 0) :
			   sys_vmsplice(fds[1], iov, 1, SPLICE_F_NONBLOCK);
		took = sys_clock_ns() - begun;
		if (n <= 0)
			return 0;
		for (ssize_t left = n; left > 0;) {
			ssize_t got = sys_read(fds[0], drain, WORDS_BYTES);

			if (got <= 0)
				return 0;
			left -= got;
		}
		if (took < best)
			best = took;
	}
	return best;
}

double report_ns_per_byte(void)
{
	_cleanup_free_ void *from = sys_aligned_alloc(4096, WORDS_BYTES);
	_cleanup_free_ void *drain = sys_aligned_alloc(4096, WORDS_BYTES);
	struct iovec iov = { from, WORDS_BYTES };
	uint64_t native = 0, copied = 0;
	int fds[2];

	if (!from || !drain || sys_pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return 0;
	memset(from, 'a', WORDS_BYTES);
	copied = words_time(fds, &iov, true, drain);
	native = words_time(fds, &iov, false, drain);
	(void)sys_close(fds[0]);
	(void)sys_close(fds[1]);
	return copied > native ? (double)(copied - native) / WORDS_BYTES : 0;
}

uint64_t report_copy_ns(const struct report_counts *c, double ns_per_byte)
{
	uint32_t copying = 1u << ACTION_WRITE | 1u << ACTION_WAIT_WRITE | 1u << ACTION_COPY;

	return c->actions & copying ? (uint64_t)((double)c->bytes * ns_per_byte) : 0;
}
