/* SPDX-License-Identifier: MIT */
/*
 * Running decant to make images, in a directory of the case that runs, and
 * looking at them with `decant images`.  Not another opinion on images.
 */
#ifndef LIB_DUMPED_H
#define LIB_DUMPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/oracle.h"

extern char dir[256];            /* of the case that runs */

void begin(void);
void end(void);

/* DECANT_FAULT of the runs to come; NULL: none. */
extern const char *dumped_fault;
/* Memory that they have before they begin: does told.peak_kib see it? */
extern size_t dumped_ballast_bytes;

struct told {
	int status;              /* of waitpid() */
	long peak_kib;           /* of its memory, as the kernel has it */
	unsigned peak_fds;       /* of its descriptors, as seen now and then */
	char text[16000];        /* both its outputs */
};

/* "decant words", split at blanks; killed after kill_ns, if not 0. */
bool tool(struct told *ret, uint64_t kill_ns, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Of the JSON: a member, UINT64_MAX if there is none; the sum of all of that name. */
uint64_t number(const struct told *t, const char *key);
uint64_t total(const struct told *t, const char *key);
/* The core of what image n of dir/chain stands for. */
bool good_core(unsigned n, struct oracle *o);
/* The number that a shell's commands print; -1: they failed. */
long long shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* R, S, T, ... */
char state_of(pid_t pid);
/* A file of image n of dir/where. */
bool has(const char *where, unsigned n, const char *name);
/* Complete ones are good, the others are refused.  How many are complete. */
unsigned complete(const char *where);

#endif
