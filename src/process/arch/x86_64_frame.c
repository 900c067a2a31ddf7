/* SPDX-License-Identifier: MIT */
/* x86-64: signal frames, the code that enters the kernel, registers of calls. */
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "process/arch.h"
#include "process/call.h"

#define FRAME_RED_ZONE 128
#define FRAME_ALIGN 64           /* of the XSAVE image */
#define FRAME_UC_BYTES 304
#define FRAME_UC_FLAGS 7         /* FP_XSTATE | SIGCONTEXT_SS | STRICT_RESTORE_SS */
#define FRAME_FLAGS 0x202        /* eflags: interrupts on, the bit that is always 1 */
#define FRAME_WNOTHREAD 0x20000000u
#define FRAME_WALL 0x40000000u
#define FRAME_NO_PID INT32_MAX   /* a wait for it ends at once */
/* Not a value that sigaltstack() takes: the kernel then leaves the alternate stack alone. */
#define FRAME_BAD_SS_FLAGS 0x12345
#define XSAVE_SW 464             /* FP_XSTATE_MAGIC1, extended size, features, size */
#define XSAVE_HEADER 512         /* XSTATE_BV */
#define XSAVE_MAGIC1 0x46505853u
#define XSAVE_MAGIC2 0x46505845u
#define XSAVE_TILE_DATA 18
#define FRAME_CS 0x33
#define FRAME_SS 0x2b
#define FRAME_ALTSTACK_MAX ((uint64_t)1 << 30)
#define ERESTART_FIRST 512       /* ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND ... */
#define ERESTART_LAST 516        /* ... ERESTART_RESTARTBLOCK */

/* struct ucontext as the kernel has it; glibc's is another, with a longer mask. */
struct frame_uc {
	uint64_t flags, link;
	uint64_t ss_sp;
	uint32_t ss_flags, ss_pad;
	uint64_t ss_size;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip;
	uint64_t eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate;
	uint64_t reserved[8];
	uint64_t sigmask;
};
_Static_assert(sizeof(struct frame_uc) == FRAME_UC_BYTES, "the kernel's struct ucontext");

static struct user_regs_struct *frame_user(struct arch_regs *r)
{
	return (struct user_regs_struct *)(void *)r->data;
}

static const struct user_regs_struct *frame_user_of(const struct arch_regs *r)
{
	return (const struct user_regs_struct *)(const void *)r->data;
}

uint64_t arch_tls(const struct arch_regs *r)
{
	return frame_user_of(r)->fs_base;
}

uint64_t arch_go_slot(const struct arch_regs *r)
{
	return frame_user_of(r)->fs_base - 8;
}

bool arch_syscall_restarts(int64_t result)
{
	return result <= -ERESTART_FIRST && result >= -ERESTART_LAST;
}

/* -- instructions -- */

/*
 * syscall; ret -- or, as in some vdsos, with registers cleared in between,
 * which rt_sigreturn sets anyhow.
 */
static bool frame_is_syscall_ret(const unsigned char *p, const unsigned char *end)
{
	if (end - p < 3 || p[0] != 0x0f || p[1] != 0x05)
		return false;
	for (p += 2; p < end && *p != 0xc3;) {
		size_t n = *p == 0x45 ? 1 : 0; /* xor of r8d to r15d */

		/* xor reg, itself; not of the stack pointer */
		if ((size_t)(end - p) < n + 2 || p[n] != 0x31 || (p[n + 1] & 0xc0) != 0xc0 ||
		    (p[n + 1] & 7) != (p[n + 1] >> 3 & 7) || (n == 0 && (p[n + 1] & 7) == 4))
			return false;
		p += n + 2;
	}
	return p < end;
}

/* mov $15, %rax (either form); syscall: what SA_RESTORER points to. */
static bool frame_is_restorer(const unsigned char *p, const unsigned char *end)
{
	static const unsigned char wide[] = { 0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05 };
	static const unsigned char narrow[] = { 0xb8, 15, 0, 0, 0, 0x0f, 0x05 };

	return ((size_t)(end - p) >= sizeof(wide) && memcmp(p, wide, sizeof(wide)) == 0) ||
	       ((size_t)(end - p) >= sizeof(narrow) && memcmp(p, narrow, sizeof(narrow)) == 0);
}

void arch_gadgets_scan(const void *code, size_t len, uint64_t addr, struct gadgets *g)
{
	const unsigned char *start = code, *end = start + len, *p;

	for (p = start; p < end && !(g->syscall_ret && g->sigreturn && g->pop_ret); p++) {
		if (!g->syscall_ret && *p == 0x0f && frame_is_syscall_ret(p, end))
			g->syscall_ret = addr + (uint64_t)(p - start);
		else if (!g->sigreturn && (*p == 0x48 || *p == 0xb8) && frame_is_restorer(p, end))
			g->sigreturn = addr + (uint64_t)(p - start);
		else if (!g->pop_ret && *p == 0x58 && end - p >= 2 && p[1] == 0xc3)
			g->pop_ret = addr + (uint64_t)(p - start);
	}
}

bool arch_gadgets_within(const struct gadgets *g, uint64_t start, uint64_t len)
{
	uint64_t shortest = g->sigreturn + 7, longest = g->sigreturn + 9;

	/* The kernel looks at the address behind the instruction. */
	return g->syscall_ret + 2 - start < len &&
	       (!g->sigreturn || (shortest - start < len && longest - start < len));
}

/* -- registers of calls -- */

void arch_regs_neutral(const struct arch_regs *base, const struct gadgets *g,
		       const struct arch_chain *chain, struct arch_regs *ret)
{
	struct user_regs_struct *u = frame_user(ret);

	*ret = *base;
	u->rip = g->syscall_ret;
	u->rax = SYS_rt_sigreturn;
	u->orig_rax = UINT64_MAX;
	u->rsp = chain->uc;
}

static void frame_args(struct user_regs_struct *u, const uint64_t args[6])
{
	u->rdi = args[0];
	u->rsi = args[1];
	u->rdx = args[2];
	u->r10 = args[3];
	u->r8 = args[4];
	u->r9 = args[5];
}

void arch_regs_call(const struct arch_regs *base, const struct gadgets *g,
		    const struct arch_chain *chain, long nr, const uint64_t args[6],
		    struct arch_regs *ret)
{
	struct user_regs_struct *u = frame_user(ret);

	*ret = *base;
	u->rip = g->syscall_ret + 2;
	u->rax = (uint64_t)-ENOSYS;
	u->orig_rax = (uint64_t)nr;
	u->rsp = chain->ret;
	frame_args(u, args);
}

void arch_regs_plain(const struct arch_regs *base, const struct gadgets *g, uint64_t sp, long nr,
		     const uint64_t args[6], struct arch_regs *ret)
{
	struct user_regs_struct *u = frame_user(ret);

	*ret = *base;
	u->rip = g->syscall_ret;
	u->rax = (uint64_t)nr;
	u->orig_rax = UINT64_MAX;
	if (sp)
		u->rsp = sp;
	frame_args(u, args);
}

int64_t arch_result(const struct arch_regs *r)
{
	return (int64_t)frame_user_of(r)->rax;
}

/* -- the frame -- */

/* The XSAVE image, or the FXSAVE image of a processor without XSAVE. */
static const struct arch_note *frame_image(const struct arch_state *st)
{
	const struct arch_note *found = NULL;
	unsigned i;

	for (i = 0; i < st->n; i++) {
		if (st->notes[i].type == NT_X86_XSTATE && st->notes[i].len > XSAVE_HEADER + 64)
			return &st->notes[i];
		if (st->notes[i].type == NT_FPREGSET && st->notes[i].len == XSAVE_HEADER)
			found = &st->notes[i];
	}
	return found;
}

static size_t frame_chain_bytes(const struct gadgets *g)
{
	return (g->sigreturn ? 8 : 24) + FRAME_UC_BYTES;
}

static size_t frame_image_bytes(const struct arch_note *image)
{
	return (image->len + 4 + FRAME_ALIGN - 1) & ~(size_t)(FRAME_ALIGN - 1);
}

uint64_t arch_frame_top(uint64_t sp)
{
	return sp < 2 * FRAME_RED_ZONE ? 0 : (sp - FRAME_RED_ZONE) & ~(uint64_t)(FRAME_ALIGN - 1);
}

size_t arch_frame_len(const struct arch_frame_parts *p)
{
	const struct arch_note *image = frame_image(p->state);

	if (!image)
		return 0;
	return ARCH_SCRATCH_BYTES + frame_image_bytes(image) + 3 * frame_chain_bytes(p->gadgets);
}

/*
 * The image as rt_sigreturn wants it.  Never cut short: kernels differ on
 * where they look for the second magic, behind the size that stands in the
 * image or behind that of the task.  The two differ where a task has no tiles:
 * then there are two.
 */
static void frame_put_image(unsigned char *to, const struct arch_note *image)
{
	uint32_t len = image->len, magic2 = XSAVE_MAGIC2, a, b, c, d;
	uint64_t features, there;
	uint32_t sw[5];

	memcpy(to, image->data, image->len);
	if (image->type != NT_X86_XSTATE)
		return;
	memcpy(&features, to + XSAVE_SW, sizeof(features));
	memcpy(&there, to + XSAVE_HEADER, sizeof(there));
	memcpy(to + len, &magic2, sizeof(magic2));
	if (features >> XSAVE_TILE_DATA & ~there >> XSAVE_TILE_DATA & 1 &&
	    __get_cpuid_count(0xd, XSAVE_TILE_DATA, &a, &b, &c, &d) && b && b + 4 <= len) {
		len = b;
		features &= ~(1ull << XSAVE_TILE_DATA);
		memcpy(to + len, &magic2, sizeof(magic2));
	}
	sw[0] = XSAVE_MAGIC1;
	sw[1] = len + 4;
	sw[2] = (uint32_t)features;
	sw[3] = (uint32_t)(features >> 32);
	sw[4] = len;
	memcpy(to + XSAVE_SW, sw, sizeof(sw));
	memset(to + XSAVE_SW + sizeof(sw), 0, XSAVE_HEADER - XSAVE_SW - sizeof(sw));
}

/* One chain at addr: `ret` with the stack pointer there is rt_sigreturn to uc. */
static void frame_put_chain(unsigned char *to, uint64_t addr, const struct gadgets *g,
			    const struct frame_uc *uc, struct arch_chain *ret)
{
	uint64_t words[3] = { g->pop_ret, SYS_rt_sigreturn, g->syscall_ret };
	size_t head = sizeof(words);

	if (g->sigreturn) {
		words[0] = g->sigreturn;
		head = sizeof(words[0]);
	}
	memcpy(to, words, head);
	memcpy(to + head, uc, sizeof(*uc));
	ret->ret = addr;
	ret->uc = addr + head;
}

/* A system call of the thread's own, made out of rt_sigreturn, all signals blocked. */
static void frame_uc_call(struct frame_uc *uc, const struct user_regs_struct *u,
			  const struct gadgets *g, long nr, uint64_t sp)
{
	*uc = (struct frame_uc){
		.flags = FRAME_UC_FLAGS,
		.ss_flags = FRAME_BAD_SS_FLAGS,
		.ax = (uint64_t)nr,
		.sp = sp,
		.ip = g->syscall_ret,
		.eflags = FRAME_FLAGS,
		.cs = (uint16_t)u->cs,
		.ss = (uint16_t)u->ss,
		.sigmask = UINT64_MAX,
	};
}

/* Where the thread was. */
static void frame_uc_home(struct frame_uc *uc, const struct arch_frame_parts *p, uint64_t image)
{
	const struct user_regs_struct *u = frame_user_of(p->regs);

	*uc = (struct frame_uc){
		.flags = FRAME_UC_FLAGS,
		.ss_flags = FRAME_BAD_SS_FLAGS,
		.r8 = u->r8, .r9 = u->r9, .r10 = u->r10, .r11 = u->r11,
		.r12 = u->r12, .r13 = u->r13, .r14 = u->r14, .r15 = u->r15,
		.di = u->rdi, .si = u->rsi, .bp = u->rbp, .bx = u->rbx,
		.dx = u->rdx, .ax = u->rax, .cx = u->rcx, .sp = u->rsp, .ip = u->rip,
		.eflags = u->eflags,
		.cs = (uint16_t)u->cs,
		.ss = (uint16_t)u->ss,
		.fpstate = image,
		.sigmask = p->sigmask,
	};
	/* What the kernel would have done on the way out; after rt_sigreturn it will not. */
	if (arch_syscall(p->regs) >= 0 && arch_syscall_restarts(arch_result(p->regs))) {
		uc->ip -= 2;
		uc->ax = u->orig_rax;
	}
	if (p->abort_ip)
		uc->ip = p->abort_ip;
}

int arch_frame_build(const struct arch_frame_parts *p, uint64_t top, struct arch_frame *ret,
		     void *buf, size_t size)
{
	const struct user_regs_struct *u = frame_user_of(p->regs);
	size_t len = arch_frame_len(p), chain = frame_chain_bytes(p->gadgets);
	struct frame_uc uc;
	struct arch_frame f = { .end = top, .start = top - len };
	uint64_t quit = f.start + 2 * chain, image = quit + chain;
	unsigned char *to = buf;

	if (len == 0 || len > size || top < len || top % FRAME_ALIGN)
		return -EINVAL;
	memset(to, 0, len);
	f.scratch = top - ARCH_SCRATCH_BYTES;
	frame_put_image(to + 3 * chain, frame_image(p->state));

	frame_uc_call(&uc, u, p->gadgets, SYS_exit, quit);
	frame_put_chain(to + 2 * chain, quit, p->gadgets, &uc, &f.quit);
	frame_uc_home(&uc, p, image);
	frame_put_chain(to + chain, f.start + chain, p->gadgets, &uc, &f.home);
	frame_uc_call(&uc, u, p->gadgets, SYS_wait4, f.start + chain);
	uc.di = FRAME_NO_PID;
	uc.dx = FRAME_WALL | FRAME_WNOTHREAD;
	frame_put_chain(to, f.start, p->gadgets, &uc, &f.reap);
	f.reap_pid = f.reap.uc + offsetof(struct frame_uc, di);
	*ret = f;
	return (int)len;
}

/*
 * A frame that the kernel pushed on an alternate stack tells where that stack
 * begins: it holds sigaltstack()'s values.
 */
bool arch_altstack(const void *bytes, size_t len, uint64_t addr, uint64_t sp, uint64_t *ret_low)
{
	const unsigned char *at = bytes;
	struct frame_uc uc;
	size_t i;

	for (i = 0; i + sizeof(uc) <= len; i += 8) {
		memcpy(&uc, at + i, sizeof(uc));
		if (uc.flags & ~(uint64_t)FRAME_UC_FLAGS || uc.link || uc.cs != FRAME_CS ||
		    uc.ss != FRAME_SS || uc.ss_sp >= sp || uc.ss_size > FRAME_ALTSTACK_MAX)
			continue;
		if (addr + i + sizeof(uc) > uc.ss_sp + uc.ss_size || uc.fpstate % FRAME_ALIGN ||
		    uc.fpstate < sp || uc.fpstate > uc.ss_sp + uc.ss_size)
			continue;
		*ret_low = uc.ss_sp;
		return true;
	}
	return false;
}
