/* SPDX-License-Identifier: MIT */
/*
 * What the parts of victim-semantics share.  Not of any other victim.
 */
#ifndef VICTIMS_SEMANTICS_H
#define VICTIMS_SEMANTICS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#define KIB 1024
#define PIPE_BYTES (64 * KIB)
#define SEM_PAGE 4096

enum sem_mode { SEM_CALL, SEM_V1, SEM_V2 };

extern enum sem_mode sem_mode;
extern bool sem_kernel;          /* nowait=kernel */
extern bool sem_restarts;        /* the handler of this case has SA_RESTART */
extern char *sem_self;
extern char sem_word[8];         /* argv[2] */
extern char sem_buf[256 * KIB];
extern char sem_got[256 * KIB];

/* The call, or the reference that this run is of. */
ssize_t sem_do(int fd, const struct iovec *iov, unsigned long n, unsigned flags);

/* Telling, and what the cases are made of. */
void sem_say(const char *what, ssize_t r);
void sem_say_read(const char *what, int fd, size_t len, unsigned seed);
ssize_t sem_put(int fd, void *at, size_t len, unsigned flags);
void sem_pipe(int fds[2], int flags);
void sem_fill(char *p, size_t len, unsigned seed);
/* Fills fd's pipe to the last slot. */
void sem_stuff(int fd);
pid_t sem_fork(void);
void sem_reap(pid_t pid);

/* Signals that came to a handler of sem_catch(). */
extern volatile sig_atomic_t sem_signals;
void sem_catch(int sig, int flags);

void case_basic(void);
void case_later(void);
void case_modified(void);
void case_given_back(void);
void case_read(void);
void case_flags(void);
void case_bad(void);
void case_full(void);
void case_o_nonblock(void);
void case_slots(void);
void case_blocking(void);
void case_epipe(void);
void case_signal(void);
void case_stopped(void);
void case_fifo(void);
void case_after_splice(void);
void case_registers(void);
void case_threads(void);
void case_private(void);
void case_closed(void);
void case_processes(void);
void case_thread_exec(void);
void case_storm(void);

#endif
