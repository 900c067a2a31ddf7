/* SPDX-License-Identifier: MIT */
/*
 * Where lines of the access log go: gathered, and written without ever waiting
 * for a reader.  Not their form: log.h.
 */
#ifndef SERVE_JOURNAL_H
#define SERVE_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "serve/log.h"

struct journal;

/* fd: the caller's.  lost: counts lines that nobody took in time. */
int journal_create(struct journal **ret, int fd, bool json, _Atomic uint64_t *lost);
/* Writes what it can. */
void journal_destroy(struct journal *j);
void journal_add(struct journal *j, const struct log_entry *e);
/* Once in each turn of the loop; true: there is more, which the reader does not take now. */
bool journal_flush(struct journal *j);

#endif
