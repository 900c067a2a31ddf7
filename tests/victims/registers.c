/* SPDX-License-Identifier: MIT */
/*
 * Victims that look at their own registers.
 *	registers general   all registers, flags, vectors, x87, the red zone: set,
 *	                    waited with (spinning, or in a system call), compared
 *	registers rseq      restartable sequences: none may be finished by a
 *	                    thread that was taken from its CPU within it
 */
#include <errno.h>
#include <immintrin.h>
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "victim.h"

/* ---------------------------------------------------------------- general */

struct set {
	uint64_t general[14];     /* rax rbx rdx rsi rdi rbp r8 r9 r10 r12 r13 r14 r15, flags */
	uint64_t zone[16];        /* the red zone */
	unsigned char xmm[16][16];
	uint16_t x87;
	uint32_t mxcsr;
};

/*
 * Load all from *in, spin `turns` times (rcx counts), store all to *out.
 * Between load and store there is nothing but the loop.
 */
void set_spin(const struct set *in, struct set *out, uint64_t turns);
/* The same around one system call: nanosleep(t); rcx and r11 are the kernel's. */
void set_sleep(const struct set *in, struct set *out, const struct timespec *t);

__asm__(
	"	.macro set_load from\n"
	"	fldcw 496(\\from)\n"
	"	ldmxcsr 500(\\from)\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	movups 240+16*\\n(\\from), %xmm\\n\n"
	"	.endr\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	mov 112+8*\\n(\\from), %rax\n"
	"	mov %rax, -8-8*\\n(%rsp)\n"
	"	.endr\n"
	"	pushq 104(\\from)\n"
	"	popfq\n"
	"	mov 112+0(\\from), %rax\n"
	"	mov %rax, -8(%rsp)\n"
	"	mov 0(\\from), %rax\n"
	"	mov 8(\\from), %rbx\n"
	"	mov 16(\\from), %rdx\n"
	"	mov 24(\\from), %rsi\n"
	"	mov 40(\\from), %rbp\n"
	"	mov 48(\\from), %r8\n"
	"	mov 56(\\from), %r9\n"
	"	mov 64(\\from), %r10\n"
	"	mov 72(\\from), %r12\n"
	"	mov 80(\\from), %r13\n"
	"	mov 88(\\from), %r14\n"
	"	mov 96(\\from), %r15\n"
	"	mov 32(\\from), %rdi\n"
	"	.endm\n"
	/* to: a slot above the stack pointer that holds the address */
	"	.macro set_store slot\n"
	"	mov %rdi, %r11\n"
	"	mov \\slot(%rsp), %rdi\n"
	"	mov %r11, 32(%rdi)\n"
	"	mov %rax, 0(%rdi)\n"
	"	mov %rbx, 8(%rdi)\n"
	"	mov %rdx, 16(%rdi)\n"
	"	mov %rsi, 24(%rdi)\n"
	"	mov %rbp, 40(%rdi)\n"
	"	mov %r8, 48(%rdi)\n"
	"	mov %r9, 56(%rdi)\n"
	"	mov %r10, 64(%rdi)\n"
	"	mov %r12, 72(%rdi)\n"
	"	mov %r13, 80(%rdi)\n"
	"	mov %r14, 88(%rdi)\n"
	"	mov %r15, 96(%rdi)\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	mov -8-8*\\n(%rsp), %rax\n"
	"	mov %rax, 112+8*\\n(%rdi)\n"
	"	.endr\n"
	"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	movups %xmm\\n, 240+16*\\n(%rdi)\n"
	"	.endr\n"
	"	fnstcw 496(%rdi)\n"
	"	stmxcsr 500(%rdi)\n"
	"	pushfq\n"
	"	popq 104(%rdi)\n"
	"	.endm\n"
	"	.macro set_enter\n"
	"	push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"	push %rsi\n"
	"	sub $8, %rsp\n"
	"	stmxcsr (%rsp)\n"
	"	.endm\n"
	"	.macro set_leave\n"
	"	ldmxcsr (%rsp)\n"
	"	fninit\n"
	"	add $16, %rsp\n"
	"	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
	"	cld\n"
	"	ret\n"
	"	.endm\n"
	"	.text\n"
	"	.globl set_spin, set_sleep\n"
	"set_spin:\n"
	"	set_enter\n"
	"	mov %rdx, %rcx\n"
	"	set_load %rdi\n"
	"1:	lea -1(%rcx), %rcx\n"
	"	jrcxz 2f\n"
	"	jmp 1b\n"
	"2:	set_store 8\n"
	"	set_leave\n"
	"set_sleep:\n"
	"	set_enter\n"
	"	push %rdx\n"
	"	set_load %rdi\n"
	"	mov (%rsp), %rdi\n"
	"	xor %esi, %esi\n"
	"	mov $35, %eax\n"
	"	syscall\n"
	"	set_store 16\n"
	"	add $8, %rsp\n"
	"	set_leave\n");

_Static_assert(offsetof(struct set, zone) == 112 && offsetof(struct set, xmm) == 240 &&
	       offsetof(struct set, x87) == 496 && offsetof(struct set, mxcsr) == 500,
	       "the assembly counts on it");

/* Carry, parity, zero, sign, overflow, direction. */
#define FLAGS 0xcc5

static void general_make(struct set *s, uint64_t seed)
{
	unsigned i;

	for (i = 0; i < 13; i++)
		s->general[i] = seed * 0x9e3779b97f4a7c15ULL + i * 0x1234567;
	s->general[13] = (seed & FLAGS) | 2;
	for (i = 0; i < 16; i++)
		s->zone[i] = ~s->general[0] + i;
	for (i = 0; i < 256; i++)
		s->xmm[i / 16][i % 16] = (unsigned char)(seed * 7 + i);
	s->x87 = (uint16_t)(0x37f | (seed & 3) << 10);
	s->mxcsr = 0x1f80 | (uint32_t)(seed & 3) << 13;
}

static const char *general_wrong(const struct set *in, const struct set *out, bool call)
{
	static char text[80];
	unsigned i;

	for (i = 0; i < 13; i++) {
		/* The call's own: rax, rsi, rdi. */
		if (call && (i == 0 || i == 3 || i == 4))
			continue;
		if (in->general[i] != out->general[i]) {
			snprintf(text, sizeof(text), "general register %u of the list", i);
			return text;
		}
	}
	/* xor in front of the call changed the others. */
	if ((in->general[13] ^ out->general[13]) & (call ? 0x400 : FLAGS))
		return "the flags";
	if (memcmp(in->zone, out->zone, sizeof(in->zone)) != 0)
		return "the red zone";
	if (memcmp(in->xmm, out->xmm, sizeof(in->xmm)) != 0)
		return "vector registers";
	if (in->x87 != out->x87 || (in->mxcsr & 0xffc0) != (out->mxcsr & 0xffc0))
		return "rounding modes";
	return call && out->general[0] != 0 ? "the call's result" : NULL;
}

/* The upper halves, where there are any. */
__attribute__((target("avx"))) static void general_avx(uint64_t seed)
{
	__m256i a = _mm256_set1_epi64x((long long)seed), b = _mm256_set1_epi64x((long long)~seed);
	uint64_t out[8];
	int i;

	__asm__ volatile(
		"	vmovdqu %0, %%ymm8\n"
		"	vmovdqu %1, %%ymm15\n"
		"	mov $20000, %%ecx\n"
		"1:	dec %%ecx\n"
		"	jnz 1b\n"
		"	vmovdqu %%ymm8, %2\n"
		"	vmovdqu %%ymm15, %3\n"
		: "+m"(a), "+m"(b), "=m"(*(__m256i *)out), "=m"(*(__m256i *)(out + 4))
		:
		: "rcx", "xmm8", "xmm15", "memory");
	for (i = 0; i < 4; i++)
		if (out[i] != seed || out[4 + i] != ~seed)
			victim_error("the upper half of a vector register changed");
}

static _Noreturn void registers_general(uint64_t wait_ns)
{
	struct timespec t = { .tv_nsec = (long)wait_ns };
	struct set in = { 0 }, out = { 0 };
	const char *wrong;
	uint64_t seed;

	victim_ready();
	for (seed = 1;; seed++) {
		general_make(&in, seed);
		if (seed % 2)
			set_sleep(&in, &out, &t);
		else
			set_spin(&in, &out, 200000);
		wrong = general_wrong(&in, &out, seed % 2);
		if (seed % 2 && (int64_t)out.general[0] == -EINTR)
			report->eintr++;
		else if (wrong)
			victim_error("%s: %s", seed % 2 ? "around a call" : "in a loop", wrong);
		if (__builtin_cpu_supports("avx"))
			general_avx(seed);
		victim_round();
	}
}

/* ------------------------------------------------------------------- rseq */

/*
 * Two threads on one CPU.  One counts; the other, in a critical section, sees
 * whether the count changes: then it was taken from the CPU, and the section
 * must not come to its end.
 */
static volatile uint64_t other_count;

static void rseq_pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void *rseq_other(void *arg)
{
	rseq_pin();
	for (;;) {
		other_count++;
		sched_yield();
	}
	return arg;
}

/* 1: came to its end; 0: aborted.  *ret_seen: the count changed within it. */
static int rseq_section(struct rseq *area, uint64_t *ret_seen)
{
	uint64_t seen = 0;
	int done = 0;

	__asm__ volatile goto(
		"	.pushsection __rseq_cs, \"aw\"\n"
		"	.balign 32\n"
		"3:	.long 0, 0\n"
		"	.quad 1f, 2f - 1f, 4f\n"
		"	.popsection\n"
		"	lea 3b(%%rip), %%rax\n"
		"	mov %%rax, %[cs]\n"
		/* Not before: what happens there breaks nothing. */
		"1:	mov %[count], %%rdx\n"
		"	mov $3000, %%ecx\n"
		"5:	dec %%ecx\n"
		"	jnz 5b\n"
		"	mov %[count], %%rax\n"
		"	sub %%rdx, %%rax\n"
		"	mov %%rax, %[seen]\n"
		"	movl $1, %[done]\n"
		"2:	jmp 6f\n"
		"	.byte 0x0f, 0xb9, 0x3d\n"
		"	.long 0x53053053\n"
		"4:	jmp %l[aborted]\n"
		"6:\n"
		:
		: [cs] "m"(area->rseq_cs), [count] "m"(other_count), [seen] "m"(seen),
		  [done] "m"(done)
		: "rax", "rcx", "rdx", "memory", "cc"
		: aborted);
	*ret_seen = seen;
	return 1;
aborted:
	*ret_seen = 0;
	return 0;
}

static _Noreturn void registers_rseq(void)
{
	struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	uint64_t seen, i, aborted = 0;
	pthread_t thread;

	if (__rseq_size == 0)
		victim_die("no rseq");
	rseq_pin();
	if (pthread_create(&thread, NULL, rseq_other, NULL) != 0)
		victim_die("pthread_create");
	victim_ready();
	for (i = 0;; i++) {
		if (!rseq_section(area, &seen))
			aborted++;
		else if (seen)
			victim_error("a critical section that was broken came to its end "
				     "(after %llu, %llu aborted)", (unsigned long long)i,
				     (unsigned long long)aborted);
		if (i % 64 == 0)
			victim_round();
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	victim_start(&argc, argv);
	if (strcmp(mode, "general") == 0)
		registers_general(victim_option(argc, argv, "--ms", 5) * 1000000);
	if (strcmp(mode, "rseq") == 0)
		registers_rseq();
	victim_die("which registers?");
}
