/* SPDX-License-Identifier: MIT */
/* Where a call can be made: code that it can use, and stacks that have room for it. */
#include <sys/syscall.h>

#include "lib/kit.h"
#include "process/arch.h"
#include "process/call.h"
#include "process/stack.h"
#include "tap.h"

#define AREA_BYTES 65536

/* ------------------------------------------------------------------ gadgets */

static void test_gadgets(void)
{
	static const unsigned char libc[] = { 0x90, 0x0f, 0x05, 0xc3, 0x58, 0xc3, 0x48, 0xc7, 0xc0,
					      15, 0, 0, 0, 0x0f, 0x05, 0x0f };
	static const unsigned char vdso[] = { 0x0f, 0x05, 0x31, 0xd2, 0x31, 0xc9, 0x31, 0xf6, 0x31,
					      0xff, 0x45, 0x31, 0xdb, 0xc3 };
	static const unsigned char bad[] = { 0x0f, 0x05, 0x31, 0xe4, 0xc3,   /* the stack pointer */
					     0x0f, 0x05, 0x31, 0xd1, 0xc3,      /* two registers */
					     0x0f, 0x05, 0x48, 0x3d,            /* a wrapper's */
					     0xb8, 14, 0, 0, 0, 0x0f, 0x05,     /* another call */
					     0x58, 0x90, 0x0f, 0x05 };          /* cut off */
	static const unsigned char narrow[] = { 0xb8, 15, 0, 0, 0, 0x0f, 0x05 };
	struct gadgets g = { 0 };

	arch_gadgets_scan(libc, sizeof(libc), 0x1000, &g);
	is_int(g.syscall_ret, 0x1001, "syscall; ret");
	is_int(g.pop_ret, 0x1004, "pop; ret");
	is_int(g.sigreturn, 0x1006, "a restorer");
	ok(arch_gadgets_within(&g, 0x1000, sizeof(libc)), "within their mapping");
	ok(!arch_gadgets_within(&g, 0x1004, sizeof(libc)), "not within another");
	arch_gadgets_scan(vdso, sizeof(vdso), 0x5000, &g);
	is_int(g.syscall_ret, 0x1001, "what is known stays");
	g = (struct gadgets){ 0 };
	arch_gadgets_scan(vdso, sizeof(vdso), 0x5000, &g);
	is_int(g.syscall_ret, 0x5000, "a vdso's that clears registers");
	for (size_t cut = 2; cut < sizeof(vdso); cut++) {
		g = (struct gadgets){ 0 };
		arch_gadgets_scan(vdso, cut, 0x5000, &g);
		if (g.syscall_ret)
			break;
	}
	is_int(g.syscall_ret, 0, "none where its end is missing");
	arch_gadgets_scan(bad, sizeof(bad), 0x1000, &g);
	ok(!g.syscall_ret && !g.sigreturn && !g.pop_ret, "what only looks like them is none");
	arch_gadgets_scan(narrow, sizeof(narrow), 0x1000, &g);
	is_int(g.sigreturn, 0x1000, "the short restorer");
}

/* ------------------------------------------------------------------- stacks */

static const struct vma stack = { .start = 0x100000, .end = 0x200000,
				  .flags = VMA_READ | VMA_WRITE | VMA_STACK };
static const struct vma anon = { .start = 0x100000, .end = 0x200000,
				 .flags = VMA_READ | VMA_WRITE };
static const struct vma heap = { .start = 0x100000, .end = 0x200000,
				 .flags = VMA_READ | VMA_WRITE | VMA_HEAP };
static const struct vma file = { .start = 0x100000, .end = 0x200000,
				 .flags = VMA_READ | VMA_WRITE | VMA_FILE };
static const struct vma code = { .start = 0x100000, .end = 0x200000,
				 .flags = VMA_READ | VMA_EXEC };
static const struct {
	const char *name;
	struct stack_facts f;
	enum stack_rank rank;
} judgements[] = {
#define AT(addr) .sp = (addr), .need_low = (addr) - 0x1400
	{ "the main thread, blocked",
	  { AT(0x180000), .vma = &stack, .leader = true,
	    .syscall = SYS_read }, STACK_MAIN },
	{ "with little left: it grows",
	  { AT(0x100800), .vma = &stack, .leader = true,
	    .syscall = SYS_read }, STACK_MAIN },
	{ "the main thread, running",
	  { AT(0x180000), .vma = &stack, .leader = true, .syscall = -1 }, STACK_BUSY },
	{ "the main thread, in sigsuspend",
	  { AT(0x180000), .vma = &stack, .leader = true, .syscall = SYS_rt_sigsuspend },
	  STACK_BUSY },
	{ "the main thread, in pause",
	  { AT(0x180000), .vma = &stack, .leader = true,
	    .syscall = SYS_pause }, STACK_BUSY },
	{ "the main thread, in restart_syscall",
	  { AT(0x180000), .vma = &stack, .leader = true, .syscall = SYS_restart_syscall },
	  STACK_BUSY },
	{ "a thread, its block above",
	  { AT(0x180000), .vma = &anon, .tls = 0x1ff000, .syscall = SYS_futex },
	  STACK_THREAD },
	{ "the same, running",
	  { AT(0x180000), .vma = &anon, .tls = 0x1ff000, .syscall = -1 }, STACK_BUSY },
	{ "with less than 64 KiB",
	  { AT(0x10ff00), .vma = &anon, .tls = 0x1ff000, .syscall = SYS_futex },
	  STACK_NONE },
	{ "with less, but a guard",
	  { AT(0x10ff00), .vma = &anon, .tls = 0x1ff000, .syscall = SYS_futex,
	    .guarded = true }, STACK_THREAD },
	{ "with a guard, and less than the frame",
	  { AT(0x101300), .vma = &anon, .tls = 0x1ff000, .syscall = SYS_futex,
	    .guarded = true }, STACK_NONE },
	{ "its block below (an allocation)",
	  { AT(0x180000), .vma = &anon, .tls = 0x120000, .syscall = SYS_futex },
	  STACK_NONE },
	{ "its block elsewhere (a coroutine)",
	  { AT(0x180000), .vma = &anon, .tls = 0x7ff000, .syscall = SYS_futex },
	  STACK_NONE },
	{ "the main thread, elsewhere (a coroutine)",
	  { AT(0x180000), .vma = &anon, .tls = 0x1ff000, .leader = true,
	    .syscall = SYS_futex }, STACK_NONE },
	{ "on the heap",
	  { AT(0x180000), .vma = &heap, .tls = 0x1ff000, .syscall = SYS_futex },
	  STACK_NONE },
	{ "on somebody else's [stack]",
	  { AT(0x180000), .vma = &stack, .tls = 0x1ff000, .syscall = SYS_futex },
	  STACK_NONE },
	{ "in a file",
	  { AT(0x180000), .vma = &file, .tls = 0x1ff000, .syscall = SYS_futex },
	  STACK_NONE },
	{ "in code", { AT(0x180000), .vma = &code, .tls = 0x1ff000, .syscall = SYS_futex },
	  STACK_NONE },
	{ "nowhere", { AT(0x180000), .tls = 0x1ff000, .syscall = SYS_futex }, STACK_NONE },
	{ "a goroutine with room",
	  { AT(0x180000), .vma = &anon, .tls = 0x1ff000, .syscall = SYS_futex,
	    .known_low = 0x17e000 }, STACK_KNOWN },
	{ "a goroutine without",
	  { AT(0x180000), .vma = &anon, .tls = 0x1ff000, .syscall = SYS_futex,
	    .known_low = 0x17f000 }, STACK_NONE },
	{ "on an alternate stack on the heap",
	  { AT(0x180000), .vma = &heap, .syscall = -1, .known_low = 0x170000 },
	  STACK_KNOWN },
#undef AT
};

static void test_judge(void)
{
	for (size_t i = 0; i < sizeof(judgements) / sizeof(judgements[0]); i++) {
		const char *why = NULL;

		is_int(stack_judge(&judgements[i].f, &why), judgements[i].rank, "stack: %s",
		       judgements[i].name);
		ok((why != NULL) == (judgements[i].rank == STACK_NONE), "... and a reason if not");
	}
}

#define ABOVE_BYTES (4096 * 4)

static uint64_t alt_found;

static void alt_handler(int sig)
{
	uint64_t sp = (uintptr_t)__builtin_frame_address(0) & ~7ull, low = 0;

	(void)sig;
	alt_found = arch_altstack((void *)(uintptr_t)sp, 4096 * 2, sp, sp - 64, &low) ? low : 0;
}

__attribute__((no_sanitize("address"))) static void test_altstack(void)
{
	/* Above it there is more memory of ours, so that a look too far does no harm. */
	static unsigned char area[AREA_BYTES * 2] __attribute__((aligned(64)));
	stack_t alt = { .ss_sp = area, .ss_size = AREA_BYTES }, off = { .ss_flags = SS_DISABLE };
	struct sigaction act = { .sa_handler = alt_handler, .sa_flags = SA_ONSTACK };
	volatile unsigned char *above;

	sigaction(SIGUSR2, &act, NULL);
	sigaltstack(&alt, NULL);
	raise(SIGUSR2);
	ok(alt_found == (uintptr_t)area, "a handler's frame tells where its stack begins");
	sigaltstack(&off, NULL);
	/* Likewise above the next frame, however little lies above ours. */
	above = __builtin_alloca(ABOVE_BYTES);
	for (size_t i = 0; i < ABOVE_BYTES; i++)
		above[i] = 0;
	raise(SIGUSR2);
	is_int(alt_found, 0, "a frame on the usual stack tells nothing");
}

int main(void)
{
	kit_start(60);
	test_gadgets();
	test_judge();
	test_altstack();
	return done();
}
