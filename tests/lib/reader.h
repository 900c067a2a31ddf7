/* SPDX-License-Identifier: MIT */
/*
 * A reader that is held back until it is let go, then reads everything and
 * tells what it got.
 * Not a judge: it counts; the test says what the counts must be.
 */
#ifndef LIB_READER_H
#define LIB_READER_H

#include <pthread.h>
#include <stdint.h>

#include "lib/pattern.h"

struct reader {
	int fd;             /* the test's */
	uint64_t offset;    /* of the pattern's first byte */
	unsigned gen;       /* 0: do not look at the bytes */
	uint64_t limit;     /* read this many, then stop; 0: to the end */
	uint32_t pause_us;  /* after each read: a slow reader */
	uint32_t chunk;     /* bytes per read; 0: 64 KiB */
	/* results, after reader_join() */
	struct pattern_report report;
	uint64_t bytes;
	int error;          /* 0: orderly end */
	/* its own */
	int go;
	pthread_t thread;
};

/* Fill in the first fields, then start it: it waits for reader_go(). */
void reader_start(struct reader *r);
void reader_go(struct reader *r);
void reader_join(struct reader *r);

#endif
