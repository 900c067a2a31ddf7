/* SPDX-License-Identifier: MIT */
/*
 * What /proc says of one task of a target, without an allocation.
 * Not for more than a few tasks inside a stop: each costs some microseconds.
 */
#ifndef PROCESS_STOP_TASK_H
#define PROCESS_STOP_TASK_H

#include "process/procfs.h"
#include "process/stop.h"

/* Of /proc/PID/task/TID; -ESRCH (or -ENOENT) when it is gone. */
int stop_task_stat(const struct stop *s, pid_t tid, struct proc_stat *ret);
int stop_task_status(const struct stop *s, pid_t tid, struct proc_status *ret);
/* It never runs (again) in user space: a zombie, a worker of the kernel's. */
bool stop_task_passive(const struct proc_stat *stat);
/* It is not there any more, or passive. */
bool stop_task_gone(const struct stop *s, pid_t tid);
/* Processor time that it has used; 0: the kernel does not say. */
uint64_t stop_task_ran_ns(const struct stop *s, pid_t tid);

#endif
