/* SPDX-License-Identifier: MIT */
#include "lib/tracked.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "lib/facts.h"
#include "lib/kit.h"
#include "sys/proc.h"
#include "tap.h"
#include "uapi/userfaultfd.h"

/* ------------------------------------------------------------- in the victim */

char *tracked_page(size_t n)
{
	return FORKED_AT + n * PAGE;
}

long tracked_small(uintptr_t len)
{
	madvise(forked_put(0, len, RW, ANON), len, MADV_NOHUGEPAGE);
	return 0;
}

long tracked_huge(uintptr_t len)
{
	char *p = forked_put(0, len, RW, ANON);

	madvise(p, len, MADV_HUGEPAGE);
	memset(p, 1, len);
	return 0;
}

long tracked_fill(uintptr_t len)
{
	for (size_t i = 0; i < len / PAGE; i++)
		*(uint64_t *)tracked_page(i) = i + 1;
	return 0;
}

long tracked_write(uintptr_t page)
{
	FORKED_AT[page * PAGE] += 1;
	return 0;
}

long tracked_read(uintptr_t page)
{
	return ((volatile char *)FORKED_AT)[page * PAGE];
}

long tracked_userfaultfd(uintptr_t arg)
{
	(void)arg;
	return syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
}

static long victim_close(uintptr_t fd)
{
	return close((int)fd);
}

/* ------------------------------------------------------------- watching it */

bool tracked_can(void)
{
	struct caps *caps = facts_masked(NULL);
	bool can = track_best(caps) == TRACK_WP;

	caps_destroy(caps);
	return can;
}

int tracked_steal(struct forked *f)
{
	int theirs = (int)forked_do(f, tracked_userfaultfd, 0);
	int ours = sys_pidfd_getfd(f->target->pidfd, theirs, 0);

	if (theirs < 0 || ours < 0)
		kit_die("userfaultfd: %d, %d", theirs, ours);
	is_int(forked_do(f, victim_close, (uintptr_t)theirs), 0, "closed");
	return ours;
}

struct track *tracked_begin(struct forked *f, const char *mask, long (*prepare)(uintptr_t),
			   size_t len)
{
	struct track *tr = NULL;
	struct err e = { "" };

	forked_start(f, mask);
	forked_do(f, prepare, len);
	forked_open(f);
	need(track_adopt(&tr, f->target, tracked_steal(f), &e) == 0, "%s", e.text);
	need(track_arm(tr, AT, AT + len, &e) == 0, "%s", e.text);
	return tr;
}

void tracked_end(struct forked *f, struct track *tr)
{
	track_close(tr);
	forked_end(f);
}

void tracked_look(struct track *tr, size_t len, bool again, struct ranges *written)
{
	struct err e = { "" };

	ranges_clear(written);
	is_int(track_scan(tr, AT, AT + len, again, written, &e), 0, "scan %s", e.text);
}

unsigned tracked_differ(const struct ranges *got, const unsigned char *want, size_t pages,
		       bool superset)
{
	unsigned n = 0;

	for (size_t i = 0; i < pages; i++) {
		bool has = ranges_has(got, AT + i * PAGE);

		n += superset ? want[i] && !has : want[i] != has;
	}
	return n;
}
