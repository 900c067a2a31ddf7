/* SPDX-License-Identifier: MIT */
/*
 * What all victims have: options, the report, a way to complain.
 * Not a test: a victim runs until it is killed, and its test reads the report.
 *
 * Options of every victim:
 *	--report-fd N   the report's memory; it is mapped and closed
 *	--name TEXT     its name in /proc/PID/comm
 *	--as-init       run as the init of a pid namespace of its own
 *	--mount-ns      in a mount namespace of its own, with its own /tmp
 */
#ifndef VICTIMS_VICTIM_H
#define VICTIMS_VICTIM_H

#include <stdbool.h>
#include <stdint.h>

#include "report.h"

extern struct report *report;

/* Handles and removes the options above; the rest is left in argv. */
void victim_start(int *argc, char **argv);
/* All is set up: from here on the test may do what it likes. */
void victim_ready(void);
/* Count an error and keep the first sentence. */
void victim_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Give up at once: this machine cannot run the victim. */
_Noreturn void victim_die(const char *what);
/* One more round was right; stops for good where this is not the victim. */
void victim_round(void);

uint64_t victim_now_ns(void);
void victim_sleep_ns(uint64_t ns);
/* The value behind "--name", or otherwise; removes nothing. */
uint64_t victim_option(int argc, char **argv, const char *name, uint64_t otherwise);
const char *victim_text(int argc, char **argv, const char *name, const char *otherwise);
bool victim_flag(int argc, char **argv, const char *name);

#endif
