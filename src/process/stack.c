/* SPDX-License-Identifier: MIT */
#include "process/stack.h"

#include <string.h>
#include <sys/syscall.h>

#include "process/arch.h"
#include "process/pages.h"

/* A goroutine's stack is never larger: what claims to be is none. */
#define STACK_GO_MAX ((uint64_t)1 << 30)
/* How far above sp a signal frame is looked for. */
#define STACK_SCAN_BYTES 65536
#define STACK_SCAN_PIECE 4096
/* Reading other threads' stacks costs time in the stop. */
#define STACK_LOOKS_MAX 64

/* Calls that the kernel cannot make again for us, or that a signal must end. */
static bool stack_call_is_awkward(long nr)
{
#ifdef SYS_pause
	if (nr == SYS_pause)
		return true;
#endif
	return nr == -1 || nr == SYS_restart_syscall || nr == SYS_rt_sigsuspend;
}

static enum stack_rank stack_no(const char **why, const char *text)
{
	if (why)
		*why = text;
	return STACK_NONE;
}

enum stack_rank stack_judge(const struct stack_facts *f, const char **why)
{
	const uint32_t must = VMA_READ | VMA_WRITE;
	const uint32_t not = VMA_SHARED | VMA_FILE | VMA_SPECIAL | VMA_IO | VMA_WIPEONFORK;
	const struct vma *v = f->vma;
	bool awkward = stack_call_is_awkward(f->syscall);

	if (!v || (v->flags & (must | not)) != must || f->need_low == 0)
		return stack_no(why, "the stack pointer is not in private memory");
	if (f->leader && v->flags & VMA_STACK)
		return awkward ? STACK_BUSY : STACK_MAIN;
	if (f->need_low < v->start)
		return stack_no(why, "no room on the stack");
	if (f->known_low)
		return f->need_low >= f->known_low ? STACK_KNOWN :
						     stack_no(why, "no room on the stack");
	/* The leader's thread block is anywhere, and mappings grow together. */
	if (f->leader || v->flags & (VMA_HEAP | VMA_STACK) || f->tls <= f->sp || f->tls >= v->end)
		return stack_no(why, "not known where the stack begins");
	if (!f->guarded && f->sp - v->start < STACK_ROOM_BYTES)
		return stack_no(why, "no room on the stack");
	return awkward ? STACK_BUSY : STACK_THREAD;
}

static bool stack_read(const struct target *t, uint64_t addr, void *to, size_t len)
{
	return pages_read(t, PAGES_LIVE, addr, to, len) == (int64_t)len;
}

/*
 * A goroutine has a small stack in the middle of Go's heap.  g begins with the
 * bounds of the stack that it runs on.
 */
static uint64_t stack_go_low(const struct target *t, const struct stop_thread *thread,
			     const struct stack_facts *f)
{
	uint64_t g, bounds[2];

	if (f->tls < 4096 || !stack_read(t, arch_go_slot(&thread->resume), &g, sizeof(g)) ||
	    g < 4096 || g % 8 || !stack_read(t, g, bounds, sizeof(bounds)))
		return 0;
	if (f->sp <= bounds[0] || f->sp > bounds[1] || bounds[1] - bounds[0] > STACK_GO_MAX ||
	    bounds[0] < f->vma->start)
		return 0;
	return bounds[0];
}

static uint64_t stack_alt_low(const struct target *t, const struct stack_facts *f)
{
	unsigned char piece[STACK_SCAN_PIECE];
	uint64_t addr = f->sp & ~(uint64_t)7, end = f->vma->end, low;
	size_t len;

	if (end > f->sp + STACK_SCAN_BYTES)
		end = f->sp + STACK_SCAN_BYTES;
	/* Pieces overlap by half, so that no frame is cut in all of them. */
	for (; addr < end; addr += sizeof(piece) / 2) {
		len = end - addr < sizeof(piece) ? end - addr : sizeof(piece);
		if (!stack_read(t, addr, piece, len))
			return 0;
		if (arch_altstack(piece, len, addr, f->sp, &low))
			return low;
	}
	return 0;
}

static void stack_look(const struct stack_walk *w, const struct stop_thread *thread,
		       struct stack_facts *f)
{
	const struct arch_regs *r = &thread->resume;
	uint64_t top;

	memset(f, 0, sizeof(*f));
	f->sp = arch_sp(r);
	f->tls = arch_tls(r);
	f->syscall = arch_syscall(r);
	f->leader = thread->tid == w->stop->target->pid;
	f->vma = maps_find(w->maps, f->sp);
	f->guarded = f->vma && f->vma > w->maps->v && f->vma[-1].end == f->vma->start &&
		     !(f->vma[-1].flags & (VMA_READ | VMA_WRITE | VMA_EXEC));
	top = arch_frame_top(f->sp);
	f->need_low = top > w->frame_len ? top - w->frame_len : 0;
}

/* The rank of a thread, with what only its memory tells; alt: the dear look too. */
static enum stack_rank stack_rank(const struct stack_walk *w, const struct stop_thread *thread,
				  bool alt, const char **why)
{
	struct stack_facts f;
	enum stack_rank rank;
	const char *ignored;

	stack_look(w, thread, &f);
	rank = stack_judge(&f, why);
	if (!f.vma || rank == STACK_MAIN || (rank == STACK_BUSY && f.vma->flags & VMA_STACK))
		return rank;
	if (rank == STACK_NONE && !alt)
		return rank;
	f.known_low = stack_go_low(w->stop->target, thread, &f);
	if (!f.known_low && rank == STACK_NONE)
		f.known_low = stack_alt_low(w->stop->target, &f);
	return f.known_low ? stack_judge(&f, rank == STACK_NONE ? &ignored : why) : rank;
}

struct stop_thread *stack_next(struct stack_walk *w)
{
	unsigned looks = 0;
	const char *why;

	for (; w->rank < STACK_NONE; w->rank++, w->next = 0)
		while (w->next < w->stop->n) {
			struct stop_thread *thread = &w->stop->threads[w->next++];
			bool alt = w->rank == STACK_KNOWN;
			enum stack_rank rank;

			if (thread->dead || !thread->stopped)
				continue;
			if (alt && ++looks > STACK_LOOKS_MAX)
				break;
			rank = stack_rank(w, thread, alt, &why);
			if (rank == w->rank)
				return thread;
			if (rank == STACK_NONE && !w->why)
				w->why = why;
			/* Only the leader can be that. */
			if (w->rank == STACK_MAIN)
				break;
		}
	return NULL;
}
