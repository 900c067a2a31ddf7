/* SPDX-License-Identifier: MIT */
/*
 * How far a copy is: a bar for people on a terminal, or N/TOTAL lines for
 * programs.  Not an event stream (events.c).
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "wait.h"

#define PROGRESS_LINE_MAX 512

struct progress {
	bool bar;             /* on stderr */
	int fd;               /* lines there; -1: none */
	uint64_t total;       /* DECANT_TO_END: not known */
	uint64_t told_total;  /* that of the last line */
	uint64_t bytes;
	uint64_t start_ns, drawn_ns;
	uint64_t mark_ns, mark_bytes; /* where the present rate is measured from */
	double rate;          /* bytes a second, smoothed; 0: not known yet */
	struct waiter *w;
};

/*
 * fd: --progress's argument (OPTION_FD_NONE: the bar, where stderr is a
 * terminal; -1: nothing).
 */
void progress_start(struct progress *p, int fd, uint64_t total, uint64_t now_ns,
		    struct waiter *w);

/* There is something to be shown, so progress events are wanted. */
bool progress_wanted(const struct progress *p);

/* So many bytes are with the sink; draws if it is time. */
void progress_bytes(struct progress *p, uint64_t bytes, uint64_t now_ns);

/* Milliseconds until the bar should be drawn again; -1: never. */
int progress_wait_ms(const struct progress *p, uint64_t now_ns);

/* Draw although no byte moved, so that a stall shows. */
void progress_tick(struct progress *p, uint64_t now_ns);

/* The last state; the bar's line is ended.  Messages may follow. */
void progress_end(struct progress *p, uint64_t now_ns);

/*
 * The bar as text of at most width columns.  Pure: " 42% [====>     ] 1.1 GiB
 * of 2.6 GiB  812.0 MiB/s  0:02 left".
 */
void progress_render(char buf[PROGRESS_LINE_MAX], const struct progress *p, uint64_t now_ns,
		     unsigned width);

#endif
