/* SPDX-License-Identifier: MIT */
/*
 * The engine: takes jobs, steps them on its workers, hands out their events.
 * Not a planner: each job arrives with its route.
 *
 * Locking: everything in struct engine and struct job_queue is guarded by
 * engine->lock unless said otherwise.  A job's route state belongs to the
 * thread that runs its step; no lock is held while a step runs.
 *
 *   submit --> ready --> running --> waiting --> ready ...
 *                           |
 *                           +--> delivering --> ended --> (event taken) freed
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "engine/job.h"

#define ENGINE_QUANTUM_BYTES (1u << 20)
#define ENGINE_INLINE_QUANTUM_BYTES (16u << 20)
#define ENGINE_INLINE_MAX_BYTES (64u << 10)
#define ENGINE_SCRATCH_BYTES (1u << 20)
#define ENGINE_BUFFER_BYTES (1u << 20)
#define ENGINE_STREAM_BUCKETS 256
#define ENGINE_JOB_BUCKETS 1024
#define ENGINE_SPARES_MAX 64
#define JOB_POLLS 3

enum job_phase {
	PHASE_START,   /* the route was not started */
	PHASE_MOVE,    /* stepping */
	PHASE_DRAIN,   /* failed: waiting for its requests */
	PHASE_DELIVER, /* all sent: waiting for the sink to have it */
	PHASE_ENDED,   /* ENDED was emitted */
};

enum job_state {
	STATE_QUEUED,  /* behind another job on its stream */
	STATE_READY,
	STATE_RUNNING,
	STATE_WAITING,
	STATE_OVER,
};

/* One event of a job, on the engine's list until it is taken. */
struct event_node {
	struct list link;
	struct job *job;
	uint32_t type, flags;
	uint64_t bytes, time_ns;
	bool queued;
};

/* Interest in one descriptor; the poller's. */
struct poll_node {
	struct job *job;
	int fd;
	short events;
	bool wanted;        /* said by job_wait_fd() in this step */
	bool armed;
	struct list link;   /* on its poll_fd, while armed */
};

/* A job's place in the order of one stream. */
struct stream_node {
	struct job *job;
	int fd;             /* -1: not on a stream */
	int side;
	bool queued;
	struct list link;
	struct stream *stream;
	struct stream *broken;   /* it failed in the middle of this stream */
};

struct job_queue {
	struct list link;        /* ready */
	struct list hash_link;   /* by id */
	enum job_phase phase;
	enum job_phase phase_failed;
	enum job_state state;
	struct job *job;
	bool wake;               /* something happened while it was running */
	bool inline_run;         /* its own caller runs it: no worker may */
	bool inline_ready;
	bool nowait;             /* on the submitting thread: do not block at all */
	atomic_bool cancelled;
	atomic_bool cancelled_behind;   /* because one before it on a stream failed */
	bool started, finished;  /* ops->start succeeded; ops->finish was called */
	bool opened;             /* the ends were opened */
	bool snapshotted, released, delivered;
	bool stream_left;
	bool requested;          /* it made a request, ever */
	bool zombie;             /* ENDED emitted, notifications outstanding */
	bool ended;              /* ENDED was emitted */
	bool end_taken;          /* ENDED was handed to the caller */
	bool position_moved;
	bool waits_for_buffer;
	bool waits_for_source;   /* what it waited for last; for the sentence */
	bool direct;             /* its caller polls the descriptors itself */
	bool finishing;
	bool drained;            /* ops->drain was called */
	bool keep;               /* engine_move() still looks at it */
	bool forced;             /* the caller chose the route */
	struct list buffer_link;
	struct poll_node polls[JOB_POLLS];
	struct stream_node streams[2];
	struct event_node events[DECANT_ENDED + 1];
	struct request *requests; /* in flight */
	unsigned requests_n;
	uint64_t quantum_left;
	uint64_t wait_until_ns;  /* 0: none; said in this step */
	uint64_t deadline_ns;    /* in the timer heap */
	unsigned timer_index;    /* 0: not in the heap */
	uint64_t start_ns;       /* for the rate */
	uint64_t progress_ns;    /* last progress, for stalls */
	uint64_t progress_event_ns;
	uint64_t tried;          /* routes that start() refused, bits of the route table */
	unsigned char *leftover;  /* read, not yet written, cannot be read again */
	uint64_t leftover_len, leftover_off;
	unsigned deliver_wait_ns;
	uint64_t deliver_left;
	struct request sync;     /* DECANT_SYNC */
	bool sync_started;
};

struct job_full {
	struct job job;
	struct job_queue queue;
};

struct backend;

struct engine_config {
	struct caps *caps;
	uint32_t backend;        /* enum decant_backend */
	unsigned workers;
	unsigned transfers_max;
	uint64_t memory_max_bytes;
	uint64_t pinned_max_bytes;
	void (*debug)(void *arg, const char *line);
	void *debug_arg;
	/* start() said -EOPNOTSUPP: give the job another route, or say no. */
	int (*replan)(void *arg, struct job *j);
	void *replan_arg;
};

struct buffers;
struct pipes;
struct maps;
struct poller;
struct timers;

struct engine {
	struct engine_config config;
	struct caps *caps;

	pthread_mutex_t lock;
	pthread_cond_t work;      /* idle workers */
	pthread_cond_t changed;   /* callers: an event, an inline job is ready */
	struct list ready;
	unsigned ready_n;
	unsigned idle;            /* workers in work */
	unsigned running;         /* workers in a step */
	bool leading;             /* somebody waits in the poller */
	bool dispatching;         /* the leader hands out what happened */
	uint64_t leader_until_ns; /* when it will come back by itself */
	_Atomic uint64_t maps_due_ns;     /* when kept mappings must be looked at; 0: none */
	bool stopping;
	bool closing;             /* single-threaded from here on */
	pthread_t *threads;
	unsigned threads_n, threads_max;

	struct list jobs[ENGINE_JOB_BUCKETS];
	unsigned live;            /* submitted, ENDED not yet taken */
	unsigned unended;         /* submitted, ENDED not yet emitted */
	unsigned zombies;
	uint64_t next_id;
	struct list spares;       /* jobs kept for the next submissions */
	unsigned spares_n;

	struct list events;
	unsigned callers;         /* caller's threads in changed */
	int event_fd;             /* -1 until asked for */
	bool event_fd_set;

	struct recent recent;     /* not guarded by lock */
	struct list streams[ENGINE_STREAM_BUCKETS];
	struct stream *spare_stream;
	struct list buffer_waiters;
	uint64_t pinned;

	struct backend *backend;
	struct poller *poller;
	struct timers *timers;
	struct buffers *buffers;
	struct pipes *pipes;
	struct maps *maps;
};

static inline struct job_queue *job_q(const struct job *j)
{
	return j->q;
}

/* engine.c: life */
int engine_create(struct engine **ret, const struct engine_config *config, struct err *reterr);
/* Cancels and waits for what has not ended. */
void engine_destroy(struct engine *e);

/* A fresh job with everything zero; job_free() only before submission. */
struct job *engine_job_create(struct engine *e);
void engine_job_free(struct engine *e, struct job *j);

/*
 * Take over the job (its ends, ops and what was asked are filled in).  Small
 * ones are tried on the calling thread at once.  Returns its id or -EBUSY.
 */
int64_t engine_submit(struct engine *e, struct job *j, bool try_inline, struct err *reterr);
/*
 * Submit and run on the calling thread until it ended; events are consumed.
 * *ret_entered false: it was not accepted, and the job is still the caller's.
 */
int64_t engine_move(struct engine *e, struct job *j, struct decant_event *ret_end,
		    bool *ret_entered, struct err *reterr);
int engine_cancel(struct engine *e, uint64_t id);
/* decant_wait(), decant_event_fd() */
int engine_wait(struct engine *e, struct decant_event *events, unsigned n, int timeout_ms);
int engine_event_fd(struct engine *e);
bool engine_has_uring(const struct engine *e);
void engine_debug(struct engine *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* worker.c: queueing; all with the lock held */
void engine_wake(struct engine *e, struct job *j);
void engine_push_ready(struct engine *e, struct job *j);
/* Lead once: wait in the poller (lock dropped) and hand out what happened. */
void engine_lead(struct engine *e, uint64_t until_ns);
void engine_kick(struct engine *e);
/* Some thread should look: there is a job, or nobody leads. */
void engine_notify(struct engine *e);
/* Without workers: run one ready job on this thread. */
void engine_run_ready(struct engine *e);
void engine_stop_workers(struct engine *e);
void engine_expect(struct engine *e, uint64_t deadline_ns);
void engine_need_thread(struct engine *e);
/* A caller's thread stops leading: somebody else must, if there is a reason. */
void engine_stop_leading(struct engine *e);

/* run.c */
/*
 * Run one slice of a job that is RUNNING.  Called without the lock, returns
 * with it; the job then is READY and queued, WAITING, or gone.
 */
void job_slice(struct job *j, uint64_t quantum);
/*
 * When bytes that were moved and not told of yet are to be told of (0: there
 * are none), and the telling, if it is time: a job that waits long after a
 * burst must not look as if the burst had not come.
 */
uint64_t job_progress_due_ns(const struct job *j);
void job_progress_catch_up(struct job *j);
/* Lock held, and dropped in between: free the job if nobody needs it. */
void job_release(struct engine *e, struct job *j);

/* events.c; lock held */
void event_emit(struct job *j, uint32_t type, uint32_t flags, uint64_t bytes, uint64_t now_ns);
/* For steps, which do not hold the lock. */
void event_emit_unlocked(struct job *j, uint32_t type, uint32_t flags, uint64_t bytes);
void event_fill(struct job *j, const struct event_node *n, struct decant_event *ret);
unsigned event_take(struct engine *e, struct decant_event *ret, unsigned n);

/* deliver.c: what DELIVERED needs; enum step or negative errno */
int deliver_step(struct job *j);
/* Bytes of those that were sent that the sink does not have yet, at most. */
uint64_t deliver_left(struct job *j);
/* What this sink's kernel has, the sink has. */
bool deliver_is_certain(const struct job *j);

/* stream.c; lock held */
/* The caller knows that this job failed: its streams may be used again. */
void stream_mend(struct engine *e, struct job *j);
/* The stream kept for the next submission. */
void stream_destroy_spare(struct engine *e);
/* 0, or -1: no memory. */
int stream_enter(struct engine *e, struct job *j);
/* It is this job's turn on all its streams. */
bool stream_turn(const struct job *j);
/* Leave; wakes those behind, or, after a failure, cancels them. */
void stream_leave(struct engine *e, struct job *j, bool failed);

/* timers.c; lock held */
int timers_create(struct timers **ret);
void timers_destroy(struct timers *t);
/* Room for n jobs, so that timers_set() cannot fail. */
int timers_reserve(struct timers *t, unsigned n);
void timers_set(struct timers *t, struct job *j, uint64_t deadline_ns);
void timers_clear(struct timers *t, struct job *j);
uint64_t timers_next(const struct timers *t); /* 0: none */
struct job *timers_expired(struct timers *t, uint64_t now_ns);

/* poller.c: epoll; lock held unless said */
int poller_create(struct poller **ret, struct err *reterr);
void poller_destroy(struct poller *p);
/* -EPERM: such descriptors are always ready. */
int poller_arm(struct poller *p, struct poll_node *n);
void poller_disarm(struct poller *p, struct poll_node *n);
int poller_watch_backend(struct poller *p, int fd);
/* Not locked: waits.  Then, locked, poller_dispatch() hands out. */
void poller_wait(struct poller *p, int64_t timeout_ns);
void poller_dispatch(struct engine *e, struct poller *p);
void poller_kick(struct poller *p);
void eventfd_raise(int fd);

/* backend: uring.c, threads.c */
struct backend_ops {
	const char *name;
	/* Not locked.  0, or negative errno and nothing is in flight. */
	int (*submit)(struct backend *b, struct request *r);
	/* Ask for an early end; it completes in any case. */
	void (*cancel)(struct backend *b, struct request *r);
	/* Hand out completions (lock held); may be NULL. */
	void (*reap)(struct backend *b);
	/* Register memory; index or negative errno.  May be NULL. */
	int (*register_buffer)(struct backend *b, void *data, uint64_t len);
	void (*destroy)(struct backend *b);
};
struct backend {
	const struct backend_ops *ops;
	struct engine *engine;
	int fd;                  /* readable when reap() has work; -1 */
	atomic_bool retry;       /* reap() should be called soon in any case */
};
int backend_uring_create(struct backend **ret, struct engine *e, struct err *reterr);
int backend_threads_create(struct backend **ret, struct engine *e, struct err *reterr);
/* A request's result is there; over: nothing more follows.  Lock held. */
void request_complete(struct request *r, int64_t result, bool over);
void request_released(struct request *r, bool copied);

/* buffers.c, pipes.c, maps.c: their own locks */
int buffers_create(struct buffers **ret, struct engine *e);
void buffers_destroy(struct buffers *b);
struct buffer *buffers_get(struct buffers *b);
void buffers_put(struct buffers *b, struct buffer *buf);
bool buffers_available(struct buffers *b);
int pipes_create(struct pipes **ret, struct engine *e);
void pipes_destroy(struct pipes *p);
int pipes_get(struct pipes *p, struct pipe **ret);
void pipes_put(struct pipes *p, struct pipe *pipe);
int maps_create(struct maps **ret, struct engine *e);
void maps_destroy(struct maps *m);
const void *maps_get(struct maps *m, const struct end *e, uint64_t offset, uint64_t *len,
		     struct mapping **ret, int *reterr);
void maps_put(struct maps *m, struct mapping *map);
/* Was this file sent lately?  note: from now on it was. */
bool maps_seen(struct maps *m, uint64_t dev, uint64_t ino, bool note);
/* Drop what was not used for a while; ns until the next look, 0: nothing kept. */
uint64_t maps_expire(struct maps *m, uint64_t now_ns);

/* This thread's scratch; NULL when there is no memory. */
void *engine_scratch(void);
void engine_scratch_free(void);

#endif
