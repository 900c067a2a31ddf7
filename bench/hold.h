/* SPDX-License-Identifier: MIT */
/*
 * Memory that is kept between samples for the next one to use.
 * Not what anybody moves: only there so that the machine has it.
 *
 * A virtual machine gives memory that was free for a second back to its host,
 * and the next use of it costs ten times what it should: whoever fills the page
 * cache after a pause would pay for that.
 */
#ifndef BENCH_HOLD_H
#define BENCH_HOLD_H

#include <stdint.h>

/* As soon as a sample's memory is free.  Nothing happens if some is held. */
void hold_memory(uint64_t bytes);
/* When the clock starts. */
void hold_over(void);
/* Programs that take a while to begin send SIGUSR1 when they do. */
void hold_on_signal(void);

#endif
