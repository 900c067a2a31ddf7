/* SPDX-License-Identifier: MIT */
/*
 * The memory that the preload shim shares with its supervisor: what to do, and
 * what was counted.  Not a channel: the shim never waits for anybody.
 *
 * It is a memfd of this size.  The environment tells the shim of it:
 *	DECANT_SHIM=PATH	/proc/PID/fd/N of the supervisor: no descriptor is
 *				left open in programs that may count or close theirs
 *	DECANT_SHIM_POLICY=TEXT	what policy_parse() reads
 * The memory must have SHARED_MAGIC, SHARED_VERSION and its own size.  A process
 * that cannot map it (chroot, another user, the supervisor is gone) keeps the
 * policy and is not counted.  Nothing in it is trusted by the supervisor:
 * strings are bounded, numbers are only added up.
 */
#ifndef POLICY_SHARED_H
#define POLICY_SHARED_H

#include <stdint.h>

#include "policy/decide.h"
#include "policy/report.h"

#define SHARED_MAGIC 0x64634472u
#define SHARED_VERSION 2
#define SHARED_ENV "DECANT_SHIM"
#define SHARED_ENV_POLICY "DECANT_SHIM_POLICY"
#define SHARED_LIBRARY "libdecant-shim.so"
#define SHARED_PROGRAMS 1024
#define SHARED_SITES 8192
#define SHARED_HOLES 64
#define SHARED_VICTIMS 256
#define SHARED_PATH_MAX 232
#define SHARED_SYMBOL_MAX 64

/* One image that a process executes; claimed by adding to programs_n. */
struct shared_program {
	uint32_t ready;   /* 1, stored last (release) */
	int32_t pid;      /* as the shim sees it */
	char exe[SHARED_PATH_MAX];
};

/* One call site of one program; claimed by adding to sites_n. */
struct shared_site {
	uint32_t ready;   /* 1, stored last (release); counts may be added before */
	uint32_t program; /* index */
	uint32_t call;    /* enum policy_call */
	uint32_t pad;
	uint64_t offset;  /* in module */
	char module[SHARED_PATH_MAX];
	char symbol[SHARED_SYMBOL_MAX];
	struct report_counts counts;
};

/* Why a program that was started cannot have the shim in it. */
enum shared_why {
	HOLE_STATIC = 0,
	HOLE_32BIT,
	HOLE_SETUID,
	HOLE_MAX
};

struct shared_hole {
	uint32_t ready;   /* 1, stored last; 0 again: the exec failed */
	uint32_t why;     /* enum shared_why */
	char exe[SHARED_PATH_MAX];
};

/* What is seen of what a dumper does inside a process that it takes over. */
enum shared_sight {
	SIGHT_NONE = 0,      /* not known (yet) */
	SIGHT_NO_FILTER,     /* the process is not under a policy */
	SIGHT_SUSPENDED,     /* it has filters, and the dumper did not say what becomes of them */
	SIGHT_MORE_FILTERS,  /* it has others than ours: they were suspended */
	SIGHT_NOT_OURS,      /* its filter is not that of mechanism notify, or nobody answers */
	SIGHT_CAUGHT,        /* its supervisor is asked */
	SIGHT_MAX
};

struct shared_victim {
	int32_t pid;         /* as the dumper sees it */
	uint32_t sight;      /* enum shared_sight */
	uint32_t filters;
	uint32_t pad;
	uint64_t calls;      /* vmsplice, that its supervisor saw meanwhile */
};

struct shared {
	uint32_t magic, version;
	uint64_t size_bytes;      /* of this structure */
	struct policy policy;
	uint8_t counted;
	uint8_t dumper;           /* the program is one: see shim/dumper.c */
	uint8_t pad[2];
	/* All below: __atomic builtins. */
	uint32_t programs_n;      /* may pass SHARED_PROGRAMS: those were dropped */
	uint32_t sites_n;
	uint32_t holes_n;
	uint32_t victims_n;       /* may pass SHARED_VICTIMS */
	uint64_t dropped_calls;   /* that found no slot */
	uint64_t rings;           /* io_uring_setup() by libc's syscall() or liburing */
	struct shared_hole holes[SHARED_HOLES];
	struct shared_victim victims[SHARED_VICTIMS];
	struct shared_program programs[SHARED_PROGRAMS];
	struct shared_site sites[SHARED_SITES];
};

#endif
