/* SPDX-License-Identifier: MIT */
/*
 * A reader of ELF cores for tests: segments, threads, memory, notes.
 * Not ours to share: it knows nothing of src/image, so that the two can only
 * agree on what ELF says.  It trusts nothing that it reads.
 */
#ifndef LIB_COREFILE_H
#define LIB_COREFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

struct corefile_segment {
	uint64_t start, end;      /* addresses */
	uint64_t offset, filesz;
	uint32_t flags;
};

struct corefile_thread {
	int32_t tid, cursig;
	struct user_regs_struct regs;
	struct user_fpregs_struct fp;
	bool has_fp;
	const unsigned char *regs_at; /* in the file, at any address */
	const unsigned char *xstate;
	size_t xstate_len;
	const void *siginfo;
};

struct corefile_note {
	const char *name;
	uint32_t type, len;
	const unsigned char *data;
};

struct corefile {
	unsigned char *map;
	uint64_t len;
	struct corefile_segment *segments;
	size_t segments_n;
	struct corefile_thread *threads;
	size_t threads_n;
	struct corefile_note *notes;
	size_t notes_n;
	char why[160];            /* what is wrong with it */
};

/* false: why says the reason; close it in any case. */
bool corefile_open(struct corefile *c, const char *path);
bool corefile_open_fd(struct corefile *c, int fd);
void corefile_close(struct corefile *c);
/* The segment that holds addr, or NULL. */
const struct corefile_segment *corefile_at(const struct corefile *c, uint64_t addr);
/* len bytes at addr, which must lie in one segment and in the file; else NULL. */
const void *corefile_memory(const struct corefile *c, uint64_t addr, uint64_t len);
const struct corefile_thread *corefile_thread(const struct corefile *c, int32_t tid);
/* The first of that name and type, or NULL. */
const struct corefile_note *corefile_note(const struct corefile *c, const char *name,
					  uint32_t type);

#endif
