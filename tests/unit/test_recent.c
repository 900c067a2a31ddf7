/* SPDX-License-Identifier: MIT */
/* What was found out of a descriptor is believed for some milliseconds only. */
#include "end/recent.h"
#include "tap.h"

static struct recent recent;

static bool has(int fd, enum recent_what what, uint64_t now_ms)
{
	return recent_has(&recent, fd, what, now_ms);
}

int main(void)
{
	const uint64_t now = 5000;

	ok(!has(0, RECENT_STREAM_SOCKET, now) && !has(7, RECENT_IN_MEMORY, now),
	   "nothing is known of anybody");
	recent_note(&recent, 7, RECENT_STREAM_SOCKET, now);
	ok(has(7, RECENT_STREAM_SOCKET, now) && has(7, RECENT_STREAM_SOCKET, now + RECENT_MS),
	   "what was noted is known, as long as was said");
	ok(!has(7, RECENT_STREAM_SOCKET, now + RECENT_MS + 1), "and no longer");
	ok(!has(7, RECENT_STREAM_SOCKET, now - 1), "nor by a clock that is behind");
	ok(!has(7, RECENT_IN_MEMORY, now), "of one thing, not of another");
	ok(!has(8, RECENT_STREAM_SOCKET, now) &&
		   !has(7 + RECENT_SLOTS, RECENT_STREAM_SOCKET, now) &&
		   !has(7 + RECENT_SLOTS / 2, RECENT_STREAM_SOCKET, now),
	   "of one descriptor, not of one with the same place");
	recent_note(&recent, 7 + RECENT_SLOTS / 2, RECENT_STREAM_SOCKET, now);
	ok(!has(7, RECENT_STREAM_SOCKET, now) &&
		   has(7 + RECENT_SLOTS / 2, RECENT_STREAM_SOCKET, now),
	   "who comes to a place that is taken has it");
	recent_note(&recent, -1, RECENT_IN_MEMORY, now);
	recent_note(&recent, 1 << 25, RECENT_IN_MEMORY, now);
	ok(!has(-1, RECENT_IN_MEMORY, now) && !has(1 << 25, RECENT_IN_MEMORY, now) &&
		   !has(0, RECENT_IN_MEMORY, now),
	   "numbers that do not fit are not noted as others");
	return done();
}
