/* SPDX-License-Identifier: MIT */
/*
 * What programs that were built yesterday rely on: size and place of every
 * field, value of every word, on 64-bit machines.  Fields are only ever added
 * at the end of structs that have a size.  Not a test of what they do.
 */
#include <stddef.h>

#include "decant.h"
#include "tap.h"

static const struct {
	const char *name;
	size_t place, bytes, want_place, want_bytes;
} fields[] = {
#define SIZE(type, bytes) { "struct " #type, 0, sizeof(struct type), 0, bytes }
#define FIELD(type, field, place, bytes)                              \
	{ #type "." #field, offsetof(struct type, field),             \
	  sizeof(((struct type *)0)->field), place, bytes }
	SIZE(decant_end, 40),
	FIELD(decant_end, kind, 0, 4),
	FIELD(decant_end, fd, 4, 4),
	FIELD(decant_end, offset, 8, 8),
	FIELD(decant_end, addr, 16, 8),
	FIELD(decant_end, len, 24, 8),
	FIELD(decant_end, pid, 32, 4),
	FIELD(decant_end, flags, 36, 4),
	SIZE(decant_options, 64),
	FIELD(decant_options, size, 0, 4),
	FIELD(decant_options, backend, 4, 4),
	FIELD(decant_options, workers, 8, 4),
	FIELD(decant_options, transfers_max, 12, 4),
	FIELD(decant_options, memory_max_bytes, 16, 8),
	FIELD(decant_options, pinned_max_bytes, 24, 8),
	FIELD(decant_options, mask, 32, 8),
	FIELD(decant_options, cost_file, 40, 8),
	FIELD(decant_options, debug, 48, 8),
	FIELD(decant_options, debug_arg, 56, 8),
	SIZE(decant_transfer, 136),
	FIELD(decant_transfer, size, 0, 4),
	FIELD(decant_transfer, flags, 4, 4),
	FIELD(decant_transfer, from, 8, 40),
	FIELD(decant_transfer, to, 48, 40),
	FIELD(decant_transfer, len, 88, 8),
	FIELD(decant_transfer, guarantee, 96, 4),
	FIELD(decant_transfer, until, 100, 4),
	FIELD(decant_transfer, route, 104, 8),
	FIELD(decant_transfer, rate_bytes, 112, 8),
	FIELD(decant_transfer, stall_ms, 120, 4),
	FIELD(decant_transfer, checksum, 124, 4),
	FIELD(decant_transfer, user_data, 128, 8),
	SIZE(decant_event, 304),
	FIELD(decant_event, id, 0, 8),
	FIELD(decant_event, user_data, 8, 8),
	FIELD(decant_event, type, 16, 4),
	FIELD(decant_event, flags, 20, 4),
	FIELD(decant_event, bytes, 24, 8),
	FIELD(decant_event, time_ns, 32, 8),
	FIELD(decant_event, error, 40, 4),
	FIELD(decant_event, checksum, 44, 4),
	FIELD(decant_event, arrived_bytes, 48, 8),
	FIELD(decant_event, offset, 56, 8),
	FIELD(decant_event, copied_bytes, 64, 8),
	FIELD(decant_event, cpu_copies, 72, 8),
	FIELD(decant_event, digest, 80, 32),
	FIELD(decant_event, route, 112, 24),
	FIELD(decant_event, message, 136, 168),
	SIZE(decant_refusal, 200),
	FIELD(decant_refusal, route, 0, 24),
	FIELD(decant_refusal, copies, 24, 4),
	FIELD(decant_refusal, guarantee, 28, 4),
	FIELD(decant_refusal, why, 32, 168),
	SIZE(decant_plan, 6904),
	FIELD(decant_plan, size, 0, 4),
	FIELD(decant_plan, copies, 4, 4),
	FIELD(decant_plan, guarantee, 8, 4),
	FIELD(decant_plan, refused_n, 12, 4),
	FIELD(decant_plan, len, 16, 8),
	FIELD(decant_plan, time_ns, 24, 8),
	FIELD(decant_plan, cpu_ns, 32, 8),
	FIELD(decant_plan, route, 40, 24),
	FIELD(decant_plan, snapshotted, 64, 120),
	FIELD(decant_plan, delivered, 184, 120),
	FIELD(decant_plan, note, 304, 200),
	FIELD(decant_plan, refused, 504, 6400),
	SIZE(decant_fact, 312),
	FIELD(decant_fact, name, 0, 32),
	FIELD(decant_fact, state, 32, 4),
	FIELD(decant_fact, masked, 36, 4),
	FIELD(decant_fact, value, 40, 8),
	FIELD(decant_fact, why, 48, 168),
	FIELD(decant_fact, what, 216, 96),
};

static const struct {
	const char *name;
	int value, want;
} words[] = {
#define WORD(name, want) { #name, name, want }
	WORD(DECANT_STABLE, 0),
	WORD(DECANT_LIVE, 1),
	WORD(DECANT_END_FD, 0),
	WORD(DECANT_END_FILE, 1),
	WORD(DECANT_END_PIPE, 2),
	WORD(DECANT_END_SOCKET, 3),
	WORD(DECANT_END_MEMORY, 4),
	WORD(DECANT_END_PROCESS, 5),
	WORD(DECANT_END_NULL, 6),
	WORD(DECANT_END_ZERO, 7),
	WORD(DECANT_BACKEND_AUTO, 0),
	WORD(DECANT_BACKEND_URING, 1),
	WORD(DECANT_BACKEND_THREADS, 2),
	WORD(DECANT_CHECKSUM_NONE, 0),
	WORD(DECANT_CHECKSUM_XXH3, 1),
	WORD(DECANT_CHECKSUM_SHA256, 2),
	WORD(DECANT_UNTIL_DELIVERED, 0),
	WORD(DECANT_UNTIL_SENT, 1),
	WORD(DECANT_DIRECT, 1),
	WORD(DECANT_SYNC, 2),
	WORD(DECANT_PROGRESS_EVENTS, 4),
	WORD(DECANT_MORE, 8),
	WORD(DECANT_PROGRESS, 1),
	WORD(DECANT_SNAPSHOTTED, 2),
	WORD(DECANT_RELEASED, 3),
	WORD(DECANT_DELIVERED, 4),
	WORD(DECANT_ENDED, 5),
	WORD(DECANT_NOT_CERTAIN, 1),
	WORD(DECANT_WRITTEN, 2),
	WORD(DECANT_DURABLE, 4),
	WORD(DECANT_TAKEN, 8),
	WORD(DECANT_ACKED, 16),
	WORD(DECANT_DISCARDED, 32),
	WORD(DECANT_COPIED, 64),
	WORD(DECANT_UNKNOWN, 0),
	WORD(DECANT_NO, 1),
	WORD(DECANT_YES, 2),
};

int main(void)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_options o = DECANT_OPTIONS_INIT;
	struct decant_plan p = DECANT_PLAN_INIT;

	if (sizeof(void *) != 8)
		skip_all("the table is of 64-bit machines");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		is_int(fields[i].place, fields[i].want_place, "%s: its place", fields[i].name);
		is_int(fields[i].bytes, fields[i].want_bytes, "%s: its size", fields[i].name);
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		is_int(words[i].value, words[i].want, "%s", words[i].name);
	is_int(t.size, sizeof(t), "DECANT_TRANSFER_INIT sets the size");
	ok(t.len == DECANT_TO_END, "and moves everything");
	is_int(o.size, sizeof(o), "DECANT_OPTIONS_INIT sets the size");
	is_int(p.size, sizeof(p), "DECANT_PLAN_INIT sets the size");
	return done();
}
