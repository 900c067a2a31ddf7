/* SPDX-License-Identifier: MIT */
/*
 * ELF cores: what belongs in one, where it lies in the file, and the bytes of
 * its headers and notes.  Pure: nothing is read or written here; memory
 * contents are put into the file by whoever asked where they belong.
 *
 * The file:  ELF header | program headers | notes | (reserve) | memory pages
 * Memory is placed when it is first seen and never moves, so that pages can be
 * written in place, again and again, before the headers are known.  A mapping
 * that grew has its new part elsewhere in the file and then two PT_LOADs.
 */
#ifndef IMAGE_CORE_H
#define IMAGE_CORE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "process/arch.h"
#include "process/maps.h"
#include "process/procfs.h"
#include "process/ranges.h"

#define CORE_PAGE 4096

/* ------------------------------------------------- what belongs in a core */

/* How much of a mapping a core holds, as the kernel's vma_dump_size(). */
enum core_part { CORE_NONE, CORE_FIRST_PAGE, CORE_WHOLE };

/*
 * filter: bits of coredump_filter, see core(5); 7 and 8 (DAX) are not told
 * apart from 1 to 3.  all: everything readable, DONTDUMP and file text too.
 * CORE_FIRST_PAGE is a question still: it belongs there only if it begins with
 * an ELF header (core_is_elf()).
 *
 * Without VMA_KNOWN, rather more than less.  VMA_ANON is of the time when smaps
 * was read: who sees since then a page of a private file mapping written sets
 * it and asks again.
 */
enum core_part core_part(const struct vma *v, uint32_t filter, bool all);
bool core_is_elf(const void *page, size_t len);

/* -------------------------------------------------------------- the layout */

struct core_place {
	uint64_t start, end;      /* addresses */
	uint64_t file_offset;     /* of start; page-aligned */
};

struct core_layout {
	struct core_place *v;     /* by address, disjoint */
	size_t n, size;
	uint64_t head_bytes;      /* room for headers and notes at the file's start */
	uint64_t file_end;        /* first free byte */
};

#define CORE_LAYOUT_INIT { 0 }

/*
 * How large the head may become: segments and threads expected, and bytes of
 * the notes that are not one thread's (AUXV, FILE, our own); room for twice as
 * much is kept.  If core_head() then does not fit it goes behind the memory.
 * Frees what was there.  -EFBIG.
 */
int core_layout_begin(struct core_layout *l, size_t segments, size_t threads,
		      size_t notes_bytes);
/*
 * Give every address in [start, end), whole pages, a place; those that have
 * one keep it.  -ENOMEM, -EFBIG.
 */
int core_layout_place(struct core_layout *l, uint64_t start, uint64_t end);
/*
 * Where addr lies, and in *ret_len how many bytes from there on lie one behind
 * the other; UINT64_MAX, *ret_len untouched: it has no place.
 */
uint64_t core_layout_offset(const struct core_layout *l, uint64_t addr, uint64_t *ret_len);
void core_layout_free(struct core_layout *l);

/* ------------------------------------------------------------ the headers */

struct core_segment {
	uint64_t start, end;      /* addresses; memsz = end - start */
	uint64_t file_bytes;      /* from start; 0: none of it is in the file */
	uint32_t flags;           /* PF_R | PF_W | PF_X */
};

struct core_thread {
	pid_t tid;                /* as the target's own namespace has it */
	int cursig;
	uint64_t sigpend, sighold;
	pid_t ppid, pgrp, sid;
	const struct arch_regs *regs;
	const struct arch_note *notes;  /* FPREGSET, XSTATE, ... */
	unsigned notes_n;
	const siginfo_t *siginfo; /* NULL: none */
};

struct core_process {
	struct proc_stat stat;
	struct proc_status status;
	pid_t pid, ppid, pgrp, sid; /* as the target's own namespace has them */
	const char *args;         /* cmdline, blanks for 0 bytes */
	const void *auxv;
	size_t auxv_len;
	const struct maps *maps;  /* for NT_FILE */
	const char *own;          /* JSON of our own note; NULL: none */
};

/*
 * All notes, in the kernel's order; SIGINFO of further threads stands behind
 * their XSTATE.  threads[0] first: it is the one that debuggers select.
 * Appends.
 */
void core_notes(struct buf *ret, const struct core_process *p, const struct core_thread *threads,
		size_t n);

/*
 * Everything but memory.  *ret_head goes to offset 0; when headers and notes
 * did not fit in head_bytes only the ELF header is there, and *ret_tail goes
 * to file offset l->file_end (it has no bytes otherwise).  Segments are cut
 * where their places are not one behind the other.  e_phnum above 65534 is
 * written as PN_XNUM with one section header.
 */
int core_head(const struct core_layout *l, const struct core_segment *segments, size_t n,
	      const struct buf *notes, struct buf *ret_head, struct buf *ret_tail,
	      struct err *reterr);

/*
 * Name and type of our own note.  gdb looks at types only, whosever they are:
 * a small number would be taken for registers when the length happens to fit.
 */
#define CORE_NOTE_NAME "decant"
#define CORE_NOTE_TYPE 0xdeca0001

#endif
