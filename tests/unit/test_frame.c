/* SPDX-License-Identifier: MIT */
/*
 * Signal frames, tried on the kernel: each case builds one in memory of its
 * own, goes into it as a thread of a target would after our death, and looks
 * at every register on the other side.
 */
#include <cpuid.h>
#include <elf.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "lib/kit.h"
#include "process/arch.h"
#include "process/call.h"
#include "tap.h"

#define AREA_BYTES 65536
#define IMAGE_MAX 16384

/* ------------------------------------------------------------- the code */

void code_syscall_ret(void);
void code_restorer(void);
void code_pop_ret(void);
void code_landing(void);
/* Store all registers from the second on, as they were when it was reached. */
extern uint64_t landed_regs[18];
extern unsigned char landed_image[IMAGE_MAX];
void landed(void);
_Noreturn void go(uint64_t sp);

__asm__(
	"	.pushsection .text\n"
	"code_syscall_ret:\n"
	"	syscall\n"
	"	ret\n"
	"code_restorer:\n"
	"	mov $15, %rax\n"
	"	syscall\n"
	"code_pop_ret:\n"
	"	pop %rax\n"
	"	ret\n"
	"go:\n"
	"	mov %rdi, %rsp\n"
	"	ret\n"
	"code_landing:\n"
	"	pushfq\n"
	"	push %rax\n"
	"	lea landed_regs(%rip), %rax\n"
	"	popq 0(%rax)\n"
	"	popq 136(%rax)\n"
	"	mov %rbx, 8(%rax)\n"
	"	mov %rcx, 16(%rax)\n"
	"	mov %rdx, 24(%rax)\n"
	"	mov %rsi, 32(%rax)\n"
	"	mov %rdi, 40(%rax)\n"
	"	mov %rbp, 48(%rax)\n"
	"	mov %rsp, 56(%rax)\n"
	"	mov %r8, 64(%rax)\n"
	"	mov %r9, 72(%rax)\n"
	"	mov %r10, 80(%rax)\n"
	"	mov %r11, 88(%rax)\n"
	"	mov %r12, 96(%rax)\n"
	"	mov %r13, 104(%rax)\n"
	"	mov %r14, 112(%rax)\n"
	"	mov %r15, 120(%rax)\n"
	"	lea landed_image(%rip), %rdi\n"
	"	mov $-1, %eax\n"
	"	mov $-1, %edx\n"
	"	xsave64 (%rdi)\n"
	"	cld\n"
	"	and $-64, %rsp\n"
	"	call landed\n"
	"	.popsection\n");

uint64_t landed_regs[18];
unsigned char landed_image[IMAGE_MAX] __attribute__((aligned(64)));

/* ------------------------------------------------- what goes into a frame */

enum trip_kind { TRIP_RUNNING, TRIP_BLOCKED, TRIP_RSEQ };

struct trip {
	const char *name;
	enum trip_kind kind;
	bool pop;                /* no restorer */
	bool spoil;              /* control: break the vector registers' frame */
	bool reap;               /* with a child of a clone to be waited for */
	bool childless;          /* by a chain that would have waited */
	int error;               /* that a blocked call stands with */
	bool altstack;           /* there is one */
};

static struct trip trip;
static struct user_regs_struct want;
static unsigned char want_image[IMAGE_MAX] __attribute__((aligned(64)));
static uint32_t image_len, ymm_at;
static uint64_t want_mask;
static stack_t want_alt;
static pid_t trip_child;

static struct gadgets trip_gadgets(bool pop)
{
	return (struct gadgets){
		.syscall_ret = (uintptr_t)code_syscall_ret,
		.sigreturn = pop ? 0 : (uintptr_t)code_restorer,
		.pop_ret = (uintptr_t)code_pop_ret,
	};
}

static uint64_t xcr0(void)
{
	uint32_t a, d;

	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a | (uint64_t)d << 32;
}

/* As PTRACE_GETREGSET gives it, with values of our own in what we can tell. */
static void trip_image(void)
{
	uint32_t a, b, c, d;
	uint64_t features = xcr0(), there;
	uint32_t mxcsr = 0x3f80; /* rounds down */
	uint16_t fcw = 0x077f;

	__cpuid_count(0xd, 0, a, b, c, d);
	image_len = b;
	need(image_len <= IMAGE_MAX, "the XSAVE area has %u bytes", image_len);
	__asm__ volatile("xsave64 %0" : "=m"(want_image) : "a"(-1), "d"(-1) : "memory");
	memcpy(want_image + 464, &features, sizeof(features));
	memcpy(want_image, &fcw, sizeof(fcw));
	memcpy(want_image + 24, &mxcsr, sizeof(mxcsr));
	for (int i = 160; i < 416; i++)
		want_image[i] = (unsigned char)(i * 7);
	memcpy(&there, want_image + 512, sizeof(there));
	there |= 3;
	ymm_at = 0;
	if (features & 4) {
		__cpuid_count(0xd, 2, a, ymm_at, c, d);
		for (uint32_t i = 0; i < 256; i++)
			want_image[ymm_at + i] = (unsigned char)(i * 11 + 1);
		there |= 4;
	}
	memcpy(want_image + 512, &there, sizeof(there));
}

static void trip_regs(unsigned char *stack)
{
	uint64_t *word = (uint64_t *)&want;

	for (size_t i = 0; i < sizeof(want) / 8; i++)
		word[i] = 0x1111111111111111ull * (i % 15 + 1) ^ i;
	want.cs = 0x33;
	want.ss = 0x2b;
	want.eflags = 0x202 | 0x8d5; /* carry, parity, adjust, zero, sign, overflow */
	want.orig_rax = UINT64_MAX;
	want.rip = (uintptr_t)code_landing;
	want.rsp = (uintptr_t)stack + AREA_BYTES / 2;
}

/* A call that stands to be made again, and lands behind it. */
static void trip_block(void)
{
	want.rip = (uintptr_t)code_syscall_ret + 2;
	want.rax = (uint64_t)-trip.error;
	want.orig_rax = SYS_getppid;
	*(uint64_t *)want.rsp = (uintptr_t)code_landing;
}

static void check_vectors(void)
{
	bool same;

	is_mem(landed_image, want_image, 2, "x87 control word");
	is_mem(landed_image + 24, want_image + 24, 4, "mxcsr");
	is_mem(landed_image + 160, want_image + 160, 256, "xmm0 to xmm15");
	if (!ymm_at)
		return;
	same = memcmp(landed_image + ymm_at, want_image + ymm_at, 256) == 0;
	if (trip.spoil)
		ok(!same, "control: a spoiled frame loses the upper halves");
	else
		ok(same, "upper halves of ymm0 to ymm15");
}

static void check_surroundings(void)
{
	uint64_t mask = 0;
	stack_t alt;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask));
	ok(mask == want_mask, "signal mask");
	sigaltstack(NULL, &alt);
	ok(alt.ss_sp == want_alt.ss_sp && alt.ss_flags == want_alt.ss_flags &&
	   alt.ss_size == want_alt.ss_size, "alternate stack");
	if (trip.reap)
		ok(waitpid(trip_child, NULL, __WALL) == -1 && errno == ECHILD,
		   "the child was waited for");
}

void landed(void)
{
	const uint64_t regs[16] = {
		want.rax, want.rbx, want.rcx, want.rdx, want.rsi, want.rdi, want.rbp, want.rsp,
		want.r8, want.r9, want.r10, want.r11, want.r12, want.r13, want.r14, want.r15,
	};

	for (int i = 0; i < 16; i++) {
		bool again = trip.kind == TRIP_BLOCKED;

		/* The kernel gives the call's result, and takes rcx and r11; `ret` moves rsp. */
		if (again && (i == 0 || i == 2 || i == 11))
			continue;
		ok(landed_regs[i] == regs[i] + (again && i == 7 ? 8 : 0), "register %d", i);
	}
	ok((landed_regs[17] & 0x8d5) == (want.eflags & 0x8d5), "flags");
	if (trip.kind == TRIP_BLOCKED)
		ok((pid_t)landed_regs[0] == getppid(), "the call was made again");
	check_vectors();
	check_surroundings();
	tap_end_(0);
}

/* In a process of its own: exit_signal 0, so that only a wait for clones finds it. */
static void trip_make_child(int *pid_at)
{
	trip_child = (pid_t)syscall(SYS_clone, CLONE_PARENT_SETTID, 0, pid_at, NULL, 0);
	need(trip_child >= 0, "clone");
	if (trip_child == 0) {
		kit_sleep_ms(30);
		syscall(SYS_exit_group, 0);
	}
}

static void trip_altstack(unsigned char *area)
{
	want_alt = (stack_t){ .ss_flags = SS_DISABLE };
	if (trip.altstack)
		want_alt = (stack_t){ .ss_sp = area, .ss_size = AREA_BYTES };
	need(sigaltstack(&want_alt, NULL) == 0, "sigaltstack");
	/* In use or not is the kernel's to say. */
	sigaltstack(NULL, &want_alt);
}

static void trip_run(const void *arg)
{
	static unsigned char area[2][AREA_BYTES] __attribute__((aligned(64)));
	static unsigned char bytes[ARCH_FRAME_MAX];
	struct arch_state state = { .n = 1 };
	struct arch_regs regs = { .len = sizeof(want) };
	struct arch_frame frame;
	struct gadgets g;
	struct arch_frame_parts parts = { .regs = &regs, .state = &state, .gadgets = &g };
	uint64_t top;
	int len;

	trip = *(const struct trip *)arg;
	g = trip_gadgets(trip.pop);
	trip_image();
	trip_regs(area[0]);
	if (trip.kind == TRIP_BLOCKED)
		trip_block();
	if (trip.kind == TRIP_RSEQ) {
		want.rip = (uintptr_t)code_pop_ret;
		parts.abort_ip = (uintptr_t)code_landing;
	}
	memcpy(regs.data, &want, sizeof(want));
	state.notes[0] = (struct arch_note){ .type = NT_X86_XSTATE, .len = image_len,
					     .data = want_image };
	parts.sigmask = want_mask = 1ull << (SIGUSR1 - 1) | 1ull << (SIGRTMIN + 3 - 1);
	trip_altstack(area[1]);
	top = arch_frame_top(want.rsp);
	ok(top <= want.rsp - 128 && top % 64 == 0, "the frame is below the red zone");
	len = arch_frame_build(&parts, top, &frame, bytes, sizeof(bytes));
	need(len > 0 && (size_t)len == arch_frame_len(&parts), "frame: %d", len);
	ok(frame.end == top && frame.start == top - (uint64_t)len, "its bounds");
	ok(frame.scratch + ARCH_SCRATCH_BYTES == top, "scratch is on top");
	ok(frame.reap.ret < frame.home.ret && frame.home.ret < frame.quit.ret,
	   "what is used later lies higher");
	if (trip.spoil) /* the second magic */
		memset(bytes + (frame.scratch - 64 - frame.start), 0, 64);
	memcpy((void *)(uintptr_t)frame.start, bytes, (size_t)len);
	if (trip.reap)
		trip_make_child((int *)frame.reap_pid);
	go(trip.reap || trip.childless ? frame.reap.ret : frame.home.ret);
}

/* What a child of ours does if it ever runs. */
static void quit_run(const void *arg)
{
	static unsigned char area[AREA_BYTES] __attribute__((aligned(64)));
	struct gadgets g = trip_gadgets(*(const bool *)arg);
	struct arch_state state = { .n = 1 };
	struct arch_regs regs = { .len = sizeof(want) };
	struct arch_frame_parts parts = { .regs = &regs, .state = &state, .gadgets = &g };
	struct arch_frame frame;
	static unsigned char bytes[ARCH_FRAME_MAX];
	uint64_t top = (uintptr_t)area + AREA_BYTES;
	int len, status = -1;
	pid_t pid;

	trip_image();
	trip_regs(area);
	memcpy(regs.data, &want, sizeof(want));
	state.notes[0] = (struct arch_note){ .type = NT_X86_XSTATE, .len = image_len,
					     .data = want_image };
	len = arch_frame_build(&parts, top, &frame, bytes, sizeof(bytes));
	need(len > 0, "frame: %d", len);
	memcpy((void *)(uintptr_t)frame.start, bytes, (size_t)len);
	pid = fork();
	if (pid == 0)
		go(frame.quit.ret);
	is_int(waitpid(pid, &status, 0), pid, "it ends");
	is_int(status, 0, "with exit status 0");
}

static void test_trips(void)
{
	static const struct trip trips[] = {
		{ .name = "running" },
		{ .name = "running, an alternate stack", .altstack = true },
		{ .name = "running, pop instead of a restorer", .pop = true },
		{ .name = "in an rseq section", .kind = TRIP_RSEQ },
		{ .name = "blocked, ERESTARTSYS", .kind = TRIP_BLOCKED, .error = 512 },
		{ .name = "blocked, ERESTARTNOINTR", .kind = TRIP_BLOCKED, .error = 513 },
		{ .name = "blocked, ERESTARTNOHAND", .kind = TRIP_BLOCKED, .error = 514 },
		{ .name = "blocked, RESTARTBLOCK, pop", .kind = TRIP_BLOCKED, .error = 516,
		  .pop = true },
		{ .name = "after a child", .reap = true },
		{ .name = "after a child, pop", .reap = true, .pop = true },
		{ .name = "after a child that there was not", .childless = true },
		{ .name = "a spoiled frame", .spoil = true },
	};
	const bool no = false, yes = true;

	for (size_t i = 0; i < sizeof(trips) / sizeof(trips[0]); i++)
		tap_case_arg(trip_run, &trips[i], "home: %s", trips[i].name);
	tap_case_arg(quit_run, &no, "quit");
	tap_case_arg(quit_run, &yes, "quit, pop instead of a restorer");
}

int main(void)
{
	kit_start(60);
	test_trips();
	return done();
}
