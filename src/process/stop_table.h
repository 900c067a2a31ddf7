/* SPDX-License-Identifier: MIT */
/*
 * The threads of a stop, found by their ids.  Not a set of all threads of the
 * target: some are left out (see stop_table_leave_out()).
 */
#ifndef PROCESS_STOP_TABLE_H
#define PROCESS_STOP_TABLE_H

#include "process/stop.h"

/* Room for n threads in all, and memory for their state. */
int stop_table_reserve(struct stop *s, size_t n);
struct stop_thread *stop_table_find(const struct stop *s, pid_t tid);
/* It is not there yet; pointers into the table do not outlive this.  NULL: no memory. */
struct stop_thread *stop_table_add(struct stop *s, pid_t tid);
/* Drop those for which drop() says so; their memory stays as a spare. */
void stop_table_drop(struct stop *s, bool (*drop)(const struct stop_thread *t));
/* The thread tid, if it is there, comes first. */
void stop_table_first(struct stop *s, pid_t tid);
/* A task that is there and is not to be stopped. */
int stop_table_leave_out(struct stop *s, pid_t tid);
bool stop_table_left_out(const struct stop *s, pid_t tid);
/* Forget those of them that keep() does not want. */
void stop_table_forget(struct stop *s, bool (*keep)(const struct stop *s, pid_t tid));
void stop_table_free(struct stop *s);

#endif
