/* SPDX-License-Identifier: MIT */
/*
 * What differs between processors: registers, frames, system call numbers.
 * arch/<name>.c is the only place that knows a register's name; elsewhere
 * registers are bytes.
 */
#ifndef PROCESS_ARCH_H
#define PROCESS_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define ARCH_REGS_MAX 288       /* NT_PRSTATUS's registers */
#define ARCH_FRAME_MAX 32768

/* General registers as PTRACE_GETREGSET(NT_PRSTATUS) gives them. */
struct arch_regs {
	uint32_t len;
	unsigned char data[ARCH_REGS_MAX] __attribute__((aligned(8)));
};

/* Further register sets, as notes of a core want them. */
#define ARCH_NOTES_MAX 4
struct arch_note {
	uint32_t type;           /* NT_FPREGSET, NT_X86_XSTATE, ... */
	uint32_t len, size;
	unsigned char *data;
};
struct arch_state {
	struct arch_note notes[ARCH_NOTES_MAX];
	unsigned n;
};

/* ELF of this architecture's cores. */
extern const uint16_t arch_elf_machine;

/* All in the tracer, of a thread in a ptrace stop.  Negative errno. */
int arch_regs_get(pid_t tid, struct arch_regs *ret);
int arch_regs_set(pid_t tid, const struct arch_regs *regs);
/* -ENOTSUP: this thread runs 32-bit code. */
int arch_regs_check(const struct arch_regs *regs);
/* Memory for the notes; what is reserved already stays.  A note with len 0 is not there. */
int arch_state_reserve(struct arch_state *st);
int arch_state_get(pid_t tid, struct arch_state *st);
void arch_state_free(struct arch_state *st);

/*
 * Where each set lies within a thread's notes: one note more, of the whole
 * process, which the kernel writes since 6.12.  Its bytes go to ret, their
 * number is returned; 0: there is none.
 */
#define ARCH_LAYOUT_MAX 1024
size_t arch_layout_note(const struct arch_note *notes, unsigned n, uint32_t *ret_type,
			unsigned char ret[ARCH_LAYOUT_MAX]);

uint64_t arch_ip(const struct arch_regs *r);
uint64_t arch_sp(const struct arch_regs *r);
/* The system call that the thread was in when it stopped, or -1. */
long arch_syscall(const struct arch_regs *r);

/*
 * PTRACE_INTERRUPT made a blocking call return EINTR, where most are made again
 * by themselves: make *r such that the kernel decides when the thread goes on
 * (EINTR if a handler runs, else the call is made again, a relative time-out
 * from its start).  false: not such a case.
 */
bool arch_restart_broken(struct arch_regs *r);

/*
 * ---------------------------------------------------------------- frames
 *
 * What call.c puts on a thread's stack before it uses the thread: signal
 * frames, each entered by rt_sigreturn.  Pure but where it says otherwise.
 * From the top down (the order is explained in docs/ARCHITECTURE.md):
 *
 *	scratch | vector registers | quit | home | reap
 */
struct gadgets;

#define ARCH_SCRATCH_BYTES 64

/* A way into rt_sigreturn of one frame. */
struct arch_chain {
	uint64_t ret;            /* stack pointer for a `ret` instruction */
	uint64_t uc;             /* stack pointer for rt_sigreturn itself */
};

struct arch_frame {
	uint64_t start, end;     /* addresses of all of it */
	uint64_t scratch;        /* ARCH_SCRATCH_BYTES for arguments */
	struct arch_chain quit;  /* exit(0) of a child of ours */
	struct arch_chain home;  /* back to where the thread was */
	struct arch_chain reap;  /* wait for that child, then home */
	uint64_t reap_pid;       /* where its pid belongs, an int: clone can put it there */
};

struct arch_frame_parts {
	const struct arch_regs *regs;   /* with which the thread is to go on */
	const struct arch_state *state; /* its vector registers */
	uint64_t sigmask;
	uint64_t abort_ip;              /* of the rseq section that it is in, else 0 */
	const struct gadgets *gadgets;
};

/* The highest address that a frame may reach up to, below all that is in use at sp. */
uint64_t arch_frame_top(uint64_t sp);
/* Bytes of a frame; 0: there is no state to build it from. */
size_t arch_frame_len(const struct arch_frame_parts *p);
/*
 * The bytes of a frame that ends at top, an arch_frame_top(); buf holds what
 * belongs at ret->start.  Returns their number, or -EINVAL.
 */
int arch_frame_build(const struct arch_frame_parts *p, uint64_t top, struct arch_frame *ret,
		     void *buf, size_t size);
/*
 * Is a signal frame on an alternate stack among these bytes, which begin at
 * addr >= sp?  *ret_low: where that stack begins.
 */
bool arch_altstack(const void *bytes, size_t len, uint64_t addr, uint64_t sp, uint64_t *ret_low);

/* Look for instructions in code at addr; only what *g still lacks is set. */
void arch_gadgets_scan(const void *code, size_t len, uint64_t addr, struct gadgets *g);
/* The system calls of g are made from within [start, start + len). */
bool arch_gadgets_within(const struct gadgets *g, uint64_t start, uint64_t len);

/* Thread pointer; where a Go program keeps the address of its current g. */
uint64_t arch_tls(const struct arch_regs *r);
uint64_t arch_go_slot(const struct arch_regs *r);

/*
 * Registers for a thread whose own are *base.  neutral: about to enter the
 * kernel such that nothing but its own rt_sigreturn can come of it.  call: at
 * the entry stop of that; makes another call of it, which returns to chain.
 * plain: about to make call nr, and no way back; sp 0: its own.
 */
void arch_regs_neutral(const struct arch_regs *base, const struct gadgets *g,
		       const struct arch_chain *chain, struct arch_regs *ret);
void arch_regs_call(const struct arch_regs *base, const struct gadgets *g,
		    const struct arch_chain *chain, long nr, const uint64_t args[6],
		    struct arch_regs *ret);
void arch_regs_plain(const struct arch_regs *base, const struct gadgets *g, uint64_t sp, long nr,
		     const uint64_t args[6], struct arch_regs *ret);
/* What a system call returned; and whether that says: make it again. */
int64_t arch_result(const struct arch_regs *r);
bool arch_syscall_restarts(int64_t result);

#endif
