/* SPDX-License-Identifier: MIT */
/*
 * decant-PID.img of a directory, being read: its mappings one by one, its ELF
 * notes whole.  Written with dir_append() and criu_put_note_*().
 */
#ifndef DUMP_NOTE_H
#define DUMP_NOTE_H

#include "base/buf.h"
#include "dump/chain.h"
#include "dump/records.h"

/* More threads than Linux lets a process have by default have less. */
#define NOTE_ELF_MAX (24u << 20)
#define NOTE_MAPPINGS_MAX (1u << 18)

struct note {
	struct records records;
	void *scratch;
	struct criu_note_head head;
	uint64_t mappings_n, elf_bytes, end;
	bool complete;
	char name[128];          /* NAMES_MAX */
};

/* -ENOENT: this level has none, reterr is not set. */
int note_open(struct note *n, const struct chain *c, unsigned level, uint64_t pid,
	      struct err *reterr);
/*
 * 1 and the next mapping or piece of ELF notes (valid until the next call), 0:
 * the end, and nothing is missing; negative errno.  Mappings ascend.
 */
int note_next(struct note *n, struct criu_note *ret, struct err *reterr);
void note_close(struct note *n);

#endif
