/* SPDX-License-Identifier: MIT */
/*
 * Mechanism notify: the kernel asks us at a call, and waits for the answer;
 * what the policy changes we carry out with copies of the caller's descriptors.
 * Private to notify*.c.
 *
 * Nothing is done for a caller but with its own descriptors and memory.  They
 * are held by a pidfd of the thread, by copies of the descriptors and by its
 * open /proc/TID/mem, each of which was made first and found to be the caller's
 * after that (SECCOMP_IOCTL_NOTIF_ID_VALID): a process that got the same number
 * later cannot be met.
 */
#ifndef POLICY_NOTIFY_H
#define POLICY_NOTIFY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "policy/board.h"
#include "policy/ends.h"
#include "policy/mechanism.h"
#include "policy/move.h"
#include "policy/watch.h"
#include "sys/seccomp.h"

#define NOTIFY_WORKERS_MAX 4096
#define NOTIFY_BUFFER (256u << 10)
#define NOTIFY_LONG (64u << 10)  /* bytes: what is longer goes beside other calls */
#define NOTIFY_VECTOR_MAX 1024   /* UIO_MAXIOV */

/* What the kernel returns for "again, if the signal's handler wants it so". */
#define NOTIFY_RESTART 512

struct notify {
	struct supervise *s;
	int listener;            /* -1: none */
	int stop;                /* eventfd: readable when all workers are to end */
	struct tracers *tracers; /* both NULL: nobody wants to know */
	struct watch *watch;
	struct board *board;     /* what others may know; its memfd is s->board */

	pthread_mutex_t lock;    /* of all below */
	pthread_cond_t free;     /* something for an idle worker, or it is over */
	bool over;
	bool leading;            /* one worker listens, or is at a call that is over soon */
	uint64_t lead;           /* which: another number with each leader */
	uint64_t busy_ns;        /* since when it is at its call; 0: it listens */
	bool watched;            /* an idle worker looks how long that takes */
	unsigned active;         /* workers at a call that do not lead */
	unsigned workers;
	pthread_t threads[NOTIFY_WORKERS_MAX];
	struct spliced spliced;
	pid_t interrupted_tgid;  /* the last one that a signal of the process ended a wait in */
	uint64_t interrupted_ns;
};

/* One call, from the question to the answer; of one worker. */
struct notify_job {
	struct notify *n;
	uint64_t lead;           /* notify.lead when we became it; 0: we do not lead */
	struct seccomp_notif req;
	pid_t tid, tgid;
	int pidfd;               /* of the thread; -1: none */
	int mem;                 /* its /proc/TID/mem; -1: not needed yet */
	bool is_32bit;
	struct policy_event event;
	struct policy_verdict verdict;
	uint64_t args[6];
	int fd;                  /* that sentences name */
	int in, out;             /* our copies; -1: none */
	uint64_t in_ino, out_ino;
	int blind;               /* negative errno: the descriptors could not be looked at */
	uint64_t asked_bytes;
	uint64_t start_ns;
	struct move move;
	bool broken;             /* it gets a SIGPIPE */
	/* notify_wait.c: */
	bool looked;             /* the two below are known */
	pid_t tracer;            /* as it was when the wait began */
	uint64_t pending_ns;     /* since when a signal of the process waits; 0: none */
	unsigned char *buffer;   /* NOTIFY_BUFFER bytes */
};

/*
 * notify.c: before what may take long: another worker listens from now on.
 * (One that does not say so is found out, after a while.)
 */
void notify_hand_over(struct notify_job *job);

/* notify_call.c: carry out what job->req asks for, and answer it. */
void notify_call(struct notify_job *job);
/* The caller still waits for this answer. */
bool notify_is_valid(const struct notify_job *job);
void notify_send(struct notify_job *job, struct seccomp_notif_resp *resp);

/* notify_copy.c: ACTION_WRITE, WAIT_WRITE, READ and COPY; as struct move's results. */
int64_t notify_vmsplice(struct notify_job *job);
int64_t notify_copy(struct notify_job *job);
/* Sum of the vector's lengths; 0 where it cannot be read. */
uint64_t notify_asked(struct notify_job *job);

/* notify_wait.c: how a worker waits in the caller's place. */
void notify_wait_init(struct notify_job *job);
/*
 * Where a process of many threads has a signal, which thread takes it is not
 * to be seen from outside.  -NOTIFY_RESTART to one that does not take it would
 * reach the program; this makes sure that it comes by the kernel's own exit.
 * Sends the answer in any case.
 */
void notify_interrupt(struct notify_job *job, struct seccomp_notif_resp *resp);

/* notify_memory.c: memory of the caller.  Bytes, all or -EFAULT. */
int64_t notify_read(struct notify_job *job, uint64_t addr, void *buf, size_t len);
int64_t notify_write(struct notify_job *job, uint64_t addr, const void *buf, size_t len);
/* How many bytes from addr on may be written, up to len. */
uint64_t notify_writable(struct notify_job *job, uint64_t addr, uint64_t len);

#endif
