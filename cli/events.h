/* SPDX-License-Identifier: MIT */
/*
 * The events of a copy as lines of JSON on a descriptor (--events FD), each
 * written when it happens.  Not the result object of --json (report.c).
 */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include <stdint.h>

#include "decant.h"
#include "wait.h"

struct events {
	int fd;           /* -1: nobody wants them */
	int error;        /* the first failed write: negative errno; it is the last one, too */
	struct waiter *w; /* so that a signal ends the wait for a slow reader */
};

/* "snapshotted", "delivered", ... */
const char *events_type_name(uint32_t type);
/* What DELIVERED means by its flags: "written", "acked", ...; or NULL. */
const char *events_delivered_name(uint32_t flags);

/* An event of the library's. */
void events_engine(struct events *e, const struct decant_event *event);
/* We wait for a peer: address with port, or path. */
void events_listening(struct events *e, const char *address, uint16_t port);
/* The very last line: how the command ended. */
void events_finished(struct events *e, int status, uint64_t bytes);

#endif
