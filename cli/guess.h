/* SPDX-License-Identifier: MIT */
/*
 * The word that was meant where another was written: "--stratgy" is near to
 * "--strategy".  Not a completion: what was written is refused all the same.
 */
#ifndef CLI_GUESS_H
#define CLI_GUESS_H

#include <stddef.h>

struct guess {
	const char *word;        /* what was written, len bytes of it */
	size_t len;
	const char *best;        /* NULL: nothing is near */
	size_t distance;
};

#define GUESS_INIT(w, n) { .word = (w), .len = (n) }

/*
 * Compare with one more candidate.  Near is what begins with the word (of three
 * letters at least), or a third of whose letters, one at least, were left out,
 * put in, changed or swapped.  Pure.
 */
void guess_try(struct guess *g, const char *candidate);

#endif
