/* SPDX-License-Identifier: MIT */
/*
 * The contents of a target's pages.  process_vm_readv() is the faster way;
 * /proc/PID/mem reads also what the target itself may not (PROT_NONE), and of
 * a shadow without taking its pages from the target.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "process/pages.h"
#include "sys/sys.h"

#define PAGES_IOV_MAX 512
/* How much of what process_vm_readv() refused is tried at once by the other way. */
#define PAGES_RETRY_BYTES ((size_t)1 << 20)
/* The kernel moves at most INT_MAX bytes, less a page. */
#define PAGES_CALL_BYTES ((size_t)1 << 30)

/* 0 bytes: that memory is gone (the process has ended, or called exec). */
static int64_t pages_read_mem(const struct target *t, uint64_t addr, void *buf, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = sys_pread(t->mem_fd, (char *)buf + done,
			      min_u64(len - done, PAGES_CALL_BYTES), addr + done);
		if (n == 0)
			n = -ESRCH;
		if (n < 0)
			return done ? (int64_t)done : n;
		done += (size_t)n;
	}
	return (int64_t)done;
}

static bool pages_may_read_live(const struct target *t, enum pages_how how)
{
	return how == PAGES_LIVE && caps_has(t->caps, FACT_PROCESS_VM);
}

/* What the first page at addr needs: the rest of it, at most len. */
static size_t pages_first_page(uint64_t addr, size_t len)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return min_u64(page - addr % page, len);
}

int64_t pages_read(const struct target *t, enum pages_how how, uint64_t addr, void *buf,
		   size_t len)
{
	bool live = pages_may_read_live(t, how);
	size_t done = 0;
	int64_t n;

	while (done < len) {
		size_t want = min_u64(len - done, PAGES_CALL_BYTES);
		struct iovec local = { (char *)buf + done, want };
		struct iovec remote = { (void *)(uintptr_t)(addr + done), want };

		n = -EFAULT;
		if (live)
			n = sys_process_vm_readv(t->live, &local, 1, &remote, 1);
		if (live && n < 0 && n != -EFAULT)
			live = false; /* its thread is gone, or we may not: all by the other way */
		if (live && n < 0)
			want = min_u64(want, PAGES_RETRY_BYTES);
		if (n < 0)
			n = pages_read_mem(t, addr + done, (char *)buf + done, want);
		if (n <= 0)
			return done ? (int64_t)done : n;
		done += (size_t)n;
	}
	return (int64_t)done;
}

/* -------------------------------------------------------------- many ranges */

struct pages_gather {
	const struct target *target;
	const struct range *v;
	size_t n;
	size_t i;                /* range where we are, and how much of it is done */
	uint64_t done;
	char *to;
	bool live;
	struct ranges *unreadable;
};

static void gather_advance(struct pages_gather *g, uint64_t len)
{
	g->to += len;
	while (len > 0) {
		uint64_t left = g->v[g->i].end - g->v[g->i].start - g->done;

		if (len < left) {
			g->done += len;
			return;
		}
		len -= left;
		g->done = 0;
		g->i++;
	}
}

/* As many ranges as one call takes; bytes that it moved, or a negative errno. */
static ssize_t gather_batch(const struct pages_gather *g)
{
	struct iovec remote[PAGES_IOV_MAX], local = { .iov_base = g->to };
	size_t i, n = 0;

	for (i = g->i; i < g->n && n < PAGES_IOV_MAX && local.iov_len < PAGES_CALL_BYTES; i++) {
		uint64_t from = g->v[i].start + (i == g->i ? g->done : 0);
		size_t len = min_u64(g->v[i].end - from, PAGES_CALL_BYTES);

		remote[n++] = (struct iovec){ (void *)(uintptr_t)from, len };
		local.iov_len += len;
		if (from + len < g->v[i].end)
			break;
	}
	return sys_process_vm_readv(g->target->live, &local, 1, remote, n);
}

/* The current range by /proc/PID/mem, or its first page is lost. */
static int gather_slow(struct pages_gather *g)
{
	uint64_t from = g->v[g->i].start + g->done;
	size_t len = min_u64(g->v[g->i].end - from, g->live ? PAGES_RETRY_BYTES : PAGES_CALL_BYTES);
	int64_t n = pages_read_mem(g->target, from, g->to, len);
	int r = 0;

	if (n == -ESRCH)
		return -ESRCH;
	if (n <= 0) {
		n = (int64_t)pages_first_page(from, len);
		memset(g->to, 0, (size_t)n);
		if (g->unreadable)
			r = ranges_add(g->unreadable, from, from + (uint64_t)n);
	}
	gather_advance(g, (uint64_t)n);
	return r;
}

int pages_gather(const struct target *t, enum pages_how how, const struct range *v, size_t n,
		 void *buf, struct ranges *unreadable)
{
	struct pages_gather g = {
		.target = t, .v = v, .n = n, .to = buf, .unreadable = unreadable,
		.live = pages_may_read_live(t, how),
	};
	ssize_t got;
	int r = 0;

	while (g.i < g.n && r == 0) {
		got = g.live ? gather_batch(&g) : -EFAULT;
		if (got < 0 && got != -EFAULT)
			g.live = false;
		if (got > 0)
			gather_advance(&g, (uint64_t)got);
		else
			r = gather_slow(&g);
	}
	return r;
}
