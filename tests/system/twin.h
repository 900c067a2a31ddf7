/* SPDX-License-Identifier: MIT */
/*
 * Two cores of one process at one instant: the kernel's and ours.  Parts of
 * system/test_core_file.c, and of no other test.
 */
#ifndef SYSTEM_TWIN_H
#define SYSTEM_TWIN_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/maps.h"

#define TWIN_THREADS 4
#define TWIN_NOTES_MAX 64
#ifndef NT_X86_XSAVE_LAYOUT
#define NT_X86_XSAVE_LAYOUT 0x205
#endif

/* ----------------------------------------------------------------- the victim */

struct twin_shared {
	int ready;
	pid_t tids[TWIN_THREADS];
	int go[2];
};

extern struct twin_shared *twin_shared;
/* Its life: threads, mappings, and SIGABRT when it is told by a byte in go[]. */
__attribute__((noreturn)) void twin_victim(void);

/* ------------------------------------------------------------------- our core */

extern pid_t twin_pid;
extern struct maps twin_maps;
/* Stopped by us, with the signal that will kill it; what we see of it is kept. */
void twin_stop(void);
void twin_write_ours(const char *path);

/* ------------------------------------------------------------------ comparing */

struct twin_note {
	char name[16];
	uint32_t type, len;
	pid_t tid;               /* of the PRSTATUS before it */
	unsigned char *data;
};

struct twin_core {
	unsigned char *data;
	size_t len;
	const Elf64_Phdr *loads;
	unsigned loads_n;
	struct twin_note notes[TWIN_NOTES_MAX];
	unsigned notes_n;
};

void twin_read(struct twin_core *c, const char *path);
/* Points: the order of notes, their contents, the segments and their memory. */
void twin_compare_order(const struct twin_core *kernel, const struct twin_core *own);
void twin_compare_notes(const struct twin_core *kernel, const struct twin_core *own);
void twin_compare_loads(const struct twin_core *kernel, const struct twin_core *own);

#endif
