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
int arch_state_reserve(struct arch_state *st);
int arch_state_get(pid_t tid, struct arch_state *st);
void arch_state_free(struct arch_state *st);

uint64_t arch_ip(const struct arch_regs *r);
uint64_t arch_sp(const struct arch_regs *r);
/* The system call that the thread was in when it stopped, or -1. */
long arch_syscall(const struct arch_regs *r);

/*
 * PTRACE_INTERRUPT made a blocking call return EINTR that no signal caused:
 * make *r such that the call is made again.  false: not such a case.
 */
bool arch_restart_broken(struct arch_regs *r);

#endif
