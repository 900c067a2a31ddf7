/* SPDX-License-Identifier: MIT */
/*
 * A process and its descendants as victims (tests/victims/family.c), perhaps in
 * a cgroup of their own, and the oracle of an image of all of them.
 * Not what makes the images: that is decant, by lib/dumped.h.
 */
#ifndef LIB_GROUPED_H
#define LIB_GROUPED_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/victims.h"
#include "victims/family.h"

#define GROUPED_THAW_MS 2000

struct grouped {
	const char *victim;
	const char *words;
	bool frozen;
	unsigned n, few, many;
};

/* The cgroup of the case that runs; "": none. */
extern char grouped_cgroup[300];
bool grouped_frozen(void);

void grouped_begin(struct victim *v, const struct grouped *g);
/* A point: no harm; and all is taken away. */
void grouped_end(struct victim *v);
/* By the number each has in the family. */
void grouped_pids(struct victim *v, pid_t *pids, unsigned n);
/* Each of them counts on. */
bool grouped_goes_on(struct victim *v, unsigned n);

struct grouped_seen {
	struct family_own own[FAMILY_MAX];
	struct family_all all;
	unsigned n, wrong;
	char what[200];
};

/* One process of an image: there, and its pages added to what was seen. */
bool grouped_see(struct grouped_seen *s, const char *image, pid_t pid);
/* Points: all of an image, also those that nobody else has counted; then these only. */
void grouped_see_all(struct grouped_seen *s, const char *image, const pid_t *pids, unsigned n);
/* What was seen is of one instant; else what[] says why. */
bool grouped_one_instant(struct grouped_seen *s);

#endif
