/* SPDX-License-Identifier: MIT */
/*
 * The book on what the kernel still holds: ranges of notifications, also where
 * the kernel's 32-bit count wraps, and what is counted as copied.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/errqueue.h>

#include "route/zerocopy.h"
#include "tap.h"

#define SENDS 6
#define BYTES 1000

static struct job job;
static struct zerocopy z;

/* SENDS sends of one piece are with the kernel. */
static void book(uint32_t order)
{
	struct zerocopy_piece *p = &z.pieces[0];

	memset(&job, 0, sizeof(job));
	memset(&z, 0, sizeof(z));
	z.job = &job;
	z.how = ZEROCOPY_MSG;
	p->used = true;
	for (unsigned i = 0; i < SENDS; i++) {
		/* not in the order of the array */
		struct zerocopy_send *s = &z.sends[(i * 5) % ZEROCOPY_SENDS_MAX];

		*s = (struct zerocopy_send){ .piece = p, .order = order + i, .used = true,
					     .bytes = BYTES, .end = (i + 1) * BYTES };
		z.sends_n++;
		p->held++;
	}
	job.taken = job.sent = SENDS * BYTES;
}

static int range(uint32_t first, uint32_t last, bool copied)
{
	struct sock_extended_err e = {
		.ee_origin = SO_EE_ORIGIN_ZEROCOPY, .ee_info = first, .ee_data = last,
		.ee_code = copied ? SO_EE_CODE_ZEROCOPY_COPIED : 0,
	};

	return zerocopy_msg_range(&z, &e);
}

static void in_order(void)
{
	book(0);
	is_int(zerocopy_released_to(&z), 0, "all is held");
	is_int(range(0, 0, false), 0, "one");
	is_int(zerocopy_released_to(&z), BYTES, "the first is let go of");
	is_int(range(1, 3, false), 0, "three at once");
	is_int(zerocopy_released_to(&z), 4 * BYTES, "three more");
	ok(!zerocopy_idle(&z), "two are held");
	is_int(range(4, 5, false), 0, "the rest");
	ok(zerocopy_idle(&z), "nothing is held");
	is_int(zerocopy_released_to(&z), SENDS * BYTES, "all are let go of");
	is_int(z.pieces[0].held, 0, "the piece too");
}

static void wraps(void)
{
	book(UINT32_MAX - 1); /* our own count wraps as well */
	is_int(range(UINT32_MAX - 2, 0, false), 0, "four across the wrap");
	is_int(z.sends_n, 2, "two are held");
	is_int(zerocopy_released_to(&z), 4 * BYTES, "the oldest four went");
	is_int(range(1, 2, false), 0, "two behind it");
	ok(zerocopy_idle(&z), "nothing is held");
}

static void not_ours(void)
{
	book(0);
	is_int(range(7, 7 + SENDS, false), -EPROTO, "more than was sent");
	is_int(z.sends_n, SENDS, "nothing was taken off");
	ok(strstr(job.err.text, "somebody else"), "%s", job.err.text);
	is_int(range(1, 0, false), -EPROTO, "a range of 2^32");
}

static void copies(void)
{
	book(0);
	is_int(range(0, 0, true), 0, "one that was copied");
	ok(job.kernel_copied, "it is told");
	is_int(job.cpu_copies, BYTES, "a copy of each byte");
	is_int(job.copied_bytes, BYTES, "of so many bytes");
	ok(!z.plain, "once is nothing yet");
	is_int(range(1, 1, false), 0, "one that was not");
	is_int(range(2, 2, true), 0, "one that was");
	ok(!z.plain, "not twice in a row");
	is_int(range(3, 3, true), 0, "another");
	ok(z.plain, "twice in a row: no more zero copies");
	is_int(job.cpu_copies, 3 * BYTES, "three were copied");

	book(0);
	z.copies = 1; /* read into a buffer before */
	job.copied_bytes = job.cpu_copies = SENDS * BYTES;
	is_int(range(0, 1, true), 0, "two that were copied again");
	is_int(job.cpu_copies, (SENDS + 2) * BYTES, "copied twice counts twice");
	is_int(job.copied_bytes, SENDS * BYTES, "but they are the same bytes");
}

int main(void)
{
	tap_case("notifications in order", in_order);
	tap_case("the count wraps", wraps);
	tap_case("notifications of somebody else", not_ours);
	tap_case("copies are counted", copies);
	return done();
}
