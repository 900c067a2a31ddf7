/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "process/arch.h"
#include "process/call.h"
#include "process/pages.h"
#include "sys/sys.h"

#define GADGETS_PIECE ((size_t)65536)
/* An instruction sequence may lie across two pieces. */
#define GADGETS_OVERLAP 16
/* More code than this is not looked through. */
#define GADGETS_MAX_BYTES ((uint64_t)256 << 20)

/* Code that nobody writes: not what a compiler makes at run time. */
static bool gadgets_may_be_in(const struct maps *m, const struct vma *v)
{
	if (!(v->flags & VMA_EXEC) || !(v->flags & VMA_READ) ||
	    v->flags & (VMA_WRITE | VMA_DELETED | VMA_IO | VMA_UNREADABLE))
		return false;
	if (v->flags & VMA_FILE)
		return true;
	return strcmp(maps_name(m, v), "[vdso]") == 0;
}

/* The C library first: it has all of it within its first pages. */
static bool gadgets_likely_in(const struct maps *m, const struct vma *v)
{
	const char *name = strrchr(maps_name(m, v), '/');

	return name && (strncmp(name, "/libc.", 6) == 0 || strncmp(name, "/libc-", 6) == 0 ||
			strncmp(name, "/ld-musl", 8) == 0);
}

static bool gadgets_enough(const struct gadgets *g)
{
	return g->syscall_ret && g->sigreturn;
}

static void gadgets_in_vma(const struct target *t, const struct vma *v, unsigned char *piece,
			   uint64_t *budget, struct gadgets *g)
{
	uint64_t addr = v->start;

	while (addr < v->end && *budget > 0 && !gadgets_enough(g)) {
		size_t len = v->end - addr < GADGETS_PIECE ? v->end - addr : GADGETS_PIECE;
		int64_t got;

		if (len > *budget)
			len = *budget;
		got = pages_read(t, PAGES_LIVE, addr, piece, len);
		if (got <= 0)
			return;
		arch_gadgets_scan(piece, (size_t)got, addr, g);
		*budget -= (uint64_t)got;
		if ((size_t)got < len || addr + len == v->end)
			return;
		addr += len > GADGETS_OVERLAP ? len - GADGETS_OVERLAP : len;
	}
}

int gadgets_find(const struct target *t, const struct maps *m, struct gadgets *ret,
		 struct err *reterr)
{
	_cleanup_free_ unsigned char *piece = sys_malloc(GADGETS_PIECE);
	struct gadgets g = { 0 };
	uint64_t budget = GADGETS_MAX_BYTES;

	if (!piece)
		return err_errno(reterr, -ENOMEM, "PID %d: code", t->pid);
	for (int likely = 1; likely >= 0; likely--)
		for (size_t i = 0; i < m->n && !gadgets_enough(&g); i++)
			if (gadgets_may_be_in(m, &m->v[i]) &&
			    gadgets_likely_in(m, &m->v[i]) == likely)
				gadgets_in_vma(t, &m->v[i], piece, &budget, &g);
	if (!g.syscall_ret)
		return err_set(reterr, -ENOTSUP,
			       "PID %d: its code has no system call that we could use", t->pid);
	*ret = g;
	return 0;
}
