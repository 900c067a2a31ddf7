/* SPDX-License-Identifier: MIT */
/*
 * decant - move bulk data with at most one CPU copy, and know for every byte
 * when the source may change again.
 *
 * This is the only public header.  It is not a wrapper of splice(2): where the
 * kernel cannot say when the source is no longer needed, a route is refused
 * (DECANT_STABLE) or its end is marked "not certain" (DECANT_LIVE).
 *
 * Results: 0 or a positive result, else a negative errno, everywhere.  The
 * sentence for people is in decant_strerror() or in the event.  The library
 * never prints, never exits, never raises SIGPIPE or SIGBUS in the caller.
 *
 * Threads: one engine (struct decant) is for one thread at a time; different
 * engines are independent.  Structures with a `size` field are initialised by
 * their _INIT macro, which sets it; fields are only ever added at the end.
 */
#ifndef DECANT_H
#define DECANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DECANT_VERSION_MAJOR 0
#define DECANT_VERSION_MINOR 1
#define DECANT_VERSION_PATCH 0

#if defined(__GNUC__)
#define DECANT_CHECK __attribute__((warn_unused_result))
#else
#define DECANT_CHECK
#endif

/* ------------------------------------------------------------------ words */

/* What the caller is promised about later changes of the source. */
enum decant_guarantee {
	/* For every byte the receiver gets a value that the source held
	 * between submission and SNAPSHOTTED. */
	DECANT_STABLE = 0,
	/* The caller promises not to change the source, or does not mind. */
	DECANT_LIVE = 1,
};

enum decant_end_kind {
	DECANT_END_FD = 0,   /* any descriptor: the engine finds out */
	DECANT_END_FILE,     /* regular file or block device, at an offset */
	DECANT_END_PIPE,     /* pipe or FIFO */
	DECANT_END_SOCKET,   /* connected stream socket: TCP or AF_UNIX */
	DECANT_END_MEMORY,   /* memory of the calling process */
	DECANT_END_PROCESS,  /* memory of another process; a source only */
	DECANT_END_NULL,     /* takes everything; a sink only */
	DECANT_END_ZERO,     /* gives zero bytes; a source only */
};

/* An offset: the descriptor's own position, which is moved on at the end. */
#define DECANT_CURRENT UINT64_MAX
/* A length: until the source ends. */
#define DECANT_TO_END UINT64_MAX

/*
 * One end of a transfer: where data come from or go to.  It is not an owner:
 * descriptors and memory stay the caller's and must live until the transfer's
 * DECANT_ENDED (a descriptor) or DECANT_SNAPSHOTTED (source memory).
 */
struct decant_end {
	uint32_t kind;    /* enum decant_end_kind */
	int32_t fd;       /* -1: none */
	uint64_t offset;  /* file: bytes; process: address */
	void *addr;       /* memory only */
	uint64_t len;     /* memory: bytes at addr */
	pid_t pid;        /* process only */
	uint32_t flags;   /* 0; reserved */
};

/* Makers of ends; none of them fails or makes a system call. */
struct decant_end decant_fd(int fd);
struct decant_end decant_file(int fd, uint64_t offset);
struct decant_end decant_pipe(int fd);
struct decant_end decant_socket(int fd);
struct decant_end decant_memory(const void *addr, uint64_t len);
struct decant_end decant_process(pid_t pid, uint64_t addr);
struct decant_end decant_null(void);
struct decant_end decant_zero(void);

/* ----------------------------------------------------------------- engine */

struct decant; /* an engine: queues, workers, buffers */

enum decant_backend {
	DECANT_BACKEND_AUTO = 0, /* io_uring where the kernel lets us, else threads */
	DECANT_BACKEND_URING = 1,
	DECANT_BACKEND_THREADS = 2,
};

struct decant_options {
	uint32_t size;
	uint32_t backend;          /* enum decant_backend */
	uint32_t workers;          /* threads that copy; 0: one per CPU, at least 2 */
	uint32_t transfers_max;    /* submitted and not ended; 0: 16384 */
	uint64_t memory_max_bytes; /* engine's own buffers; 0: 64 MiB */
	uint64_t pinned_max_bytes; /* kernel-held pages; 0: 3/4 of RLIMIT_MEMLOCK, <= 256 MiB */
	const char *mask;          /* kernel facts switched off, "a,b"; added to $DECANT_MASK */
	const char *cost_file;     /* NULL: the user's cache; "": shipped defaults only */
	/* Called with a line for people, from any of the engine's threads. */
	void (*debug)(void *arg, const char *line);
	void *debug_arg;
};
#define DECANT_OPTIONS_INIT { .size = sizeof(struct decant_options) }

/*
 * Open an engine.  options may be NULL.  *ret is written only on success and
 * is the caller's to close.  Errors: -ENOMEM, -EINVAL (unknown fact in mask,
 * size), -EOPNOTSUPP (backend demanded and not available), -EMFILE, -ENFILE.
 */
DECANT_CHECK int decant_open(struct decant **ret, const struct decant_options *options);

/*
 * Close an engine; NULL is fine.  Transfers that have not ended are cancelled
 * and waited for; their events are lost.
 */
void decant_close(struct decant *d);

/* The sentence "what: why" of the engine's last failed call; never NULL. */
const char *decant_strerror(const struct decant *d);

/* -------------------------------------------------------------- transfers */

enum decant_checksum {
	DECANT_CHECKSUM_NONE = 0,
	DECANT_CHECKSUM_XXH3 = 1,   /* 64 bits, digest[0..7], big endian as xxhsum prints */
	DECANT_CHECKSUM_SHA256 = 2, /* digest[0..31] */
};

enum decant_until {
	DECANT_UNTIL_DELIVERED = 0, /* ended when the sink has everything */
	DECANT_UNTIL_SENT = 1,      /* ended when the kernel has everything */
};

enum decant_transfer_flags {
	DECANT_DIRECT = 1 << 0,   /* past the page cache, or refuse */
	DECANT_SYNC = 1 << 1,     /* DELIVERED means durable (files) */
	DECANT_PROGRESS_EVENTS = 1 << 2, /* emit DECANT_PROGRESS now and then */
	DECANT_MORE = 1 << 3,     /* another transfer to this socket follows at once */
};

struct decant_transfer {
	uint32_t size;
	uint32_t flags;           /* enum decant_transfer_flags */
	struct decant_end from;
	struct decant_end to;
	uint64_t len;             /* bytes, or DECANT_TO_END */
	uint32_t guarantee;       /* enum decant_guarantee */
	uint32_t until;           /* enum decant_until */
	const char *route;        /* force this one; NULL: the planner chooses */
	uint64_t rate_bytes;      /* per second; 0: no limit */
	uint32_t stall_ms;        /* no byte moved for so long: -ETIMEDOUT; 0: never */
	uint32_t checksum;        /* enum decant_checksum, of the bytes moved */
	uint64_t user_data;       /* handed back in events */
};
#define DECANT_TRANSFER_INIT { .size = sizeof(struct decant_transfer), .len = DECANT_TO_END }

enum decant_event_type {
	/* So far: bytes = handed to the sink. */
	DECANT_PROGRESS = 1,
	/* The source is no longer needed: for a file, the *file* may change. */
	DECANT_SNAPSHOTTED = 2,
	/* The kernel has finished with every *buffer* of this transfer; on
	 * read-type routes later than SNAPSHOTTED, else the same moment. */
	DECANT_RELEASED = 3,
	/* The sink has it; flags say what that means. */
	DECANT_DELIVERED = 4,
	/* The transfer's last event; error says how it ended. */
	DECANT_ENDED = 5,
};

enum decant_event_flags {
	DECANT_NOT_CERTAIN = 1 << 0,  /* SNAPSHOTTED, RELEASED: the route cannot know (LIVE);
					* ENDED: notifications were outstanding when it failed */
	DECANT_WRITTEN = 1 << 1,      /* DELIVERED: in the file, not yet durable */
	DECANT_DURABLE = 1 << 2,      /* DELIVERED: on stable storage */
	DECANT_TAKEN = 1 << 3,        /* DELIVERED: the reader took it (pipe, AF_UNIX) */
	DECANT_ACKED = 1 << 4,        /* DELIVERED: acknowledged by the peer's kernel (TCP) */
	DECANT_DISCARDED = 1 << 5,    /* DELIVERED: null, or memory of this process */
	DECANT_COPIED = 1 << 6,       /* a zero-copy route was made to copy by the kernel */
};

/*
 * What happened to one transfer.  Order: SNAPSHOTTED, RELEASED, DELIVERED,
 * ENDED; the first three are each at most once and are missing where the
 * transfer failed before them.  ENDED comes exactly once.  PROGRESS may come
 * any number of times, before DELIVERED.
 * On a LIVE route nobody can know when the source is no longer needed:
 * SNAPSHOTTED and RELEASED then come after DELIVERED, right before ENDED, and
 * are marked DECANT_NOT_CERTAIN.
 */
struct decant_event {
	uint64_t id;          /* as decant_submit() returned */
	uint64_t user_data;
	uint32_t type;        /* enum decant_event_type */
	uint32_t flags;       /* enum decant_event_flags */
	uint64_t bytes;       /* from the start of the transfer; ENDED: handed to the sink */
	uint64_t time_ns;     /* CLOCK_MONOTONIC, when it happened */
	int32_t error;        /* ENDED: 0 or a negative errno */
	uint32_t checksum;    /* ENDED: what digest holds */
	/* ENDED only: */
	uint64_t arrived_bytes; /* of bytes, those that are known to be there; without
				 * a DELIVERED from a stream's sink the rest may be on its
				 * way, or lost */
	uint64_t offset;      /* in the source, where it ended */
	uint64_t copied_bytes;   /* went through a CPU copy on this side */
	uint64_t cpu_copies;     /* sum of bytes copied: copied twice counts twice */
	uint8_t digest[32];
	char route[24];
	char message[168];    /* "what: why"; empty when error is 0 */
};

/*
 * Submit a transfer; never blocks, and copies at most a few pages on the
 * calling thread.  Returns its id (> 0), or a negative errno when it was not
 * accepted: -EINVAL (fields), -EBADF, -ENOTSUP (no route fits: see
 * decant_strerror), -EBUSY (transfers_max), -ENOMEM.  Once accepted, all
 * errors come as DECANT_ENDED.
 *
 * Transfers to one stream (pipe, socket) are carried out in the order of their
 * submission; where one fails in the middle, those behind it end in
 * -ECANCELED.
 */
DECANT_CHECK int64_t decant_submit(struct decant *d, const struct decant_transfer *t);

/*
 * Take up to n events.  Waits until there is one, timeout_ms at most (0: do
 * not wait, -1: no limit).  Returns their number; 0 after the time-out, and at
 * once when nothing is in flight.
 */
DECANT_CHECK int decant_wait(struct decant *d, struct decant_event *events, unsigned n,
			     int timeout_ms);

/*
 * A descriptor that polls readable while events wait; for the caller's own
 * poll loop.  It is the engine's: do not read, write or close it.
 */
DECANT_CHECK int decant_event_fd(struct decant *d);

/*
 * Ask a transfer to end: DECANT_ENDED follows with -ECANCELED (or as it would
 * have, when it was faster).  -ENOENT: no such transfer in flight.
 */
DECANT_CHECK int decant_cancel(struct decant *d, uint64_t id);

/*
 * Move and wait, on the calling thread where the route allows that.  Returns
 * the bytes moved, or a negative errno.  *ret_end (may be NULL) is the
 * DECANT_ENDED event in both cases; after an error its bytes and offset say
 * how far it came.
 */
DECANT_CHECK int64_t decant_move(struct decant *d, const struct decant_transfer *t,
				 struct decant_event *ret_end);

/* ------------------------------------------------------------------ plans */

#define DECANT_ROUTES_MAX 32

struct decant_refusal {
	char route[24];
	uint32_t copies;      /* CPU copies that it would have cost */
	uint32_t guarantee;
	char why[168];
};

/* The plan without the move: what decant_submit() would do, and why. */
struct decant_plan {
	uint32_t size;
	uint32_t copies;            /* CPU copies on this side; "the kernel may copy" is in note */
	uint32_t guarantee;         /* enum decant_guarantee: what this route gives */
	uint32_t refused_n;
	uint64_t len;               /* bytes expected, or DECANT_TO_END */
	uint64_t time_ns;           /* expected, of the whole; 0: not known */
	uint64_t cpu_ns;            /* of it on our CPUs */
	char route[24];
	char snapshotted[120];      /* when SNAPSHOTTED comes */
	char delivered[120];        /* what DELIVERED will mean */
	char note[200];
	struct decant_refusal refused[DECANT_ROUTES_MAX]; /* better first */
};
#define DECANT_PLAN_INIT { .size = sizeof(struct decant_plan) }

/*
 * Plan a transfer.  Moves nothing and changes neither end.  ret->size must be
 * set.  -ENOTSUP: no route fits; ret->refused then holds every reason.
 */
DECANT_CHECK int decant_plan(struct decant *d, const struct decant_transfer *t,
			     struct decant_plan *ret);

/* ------------------------------------------------------------------ facts */

enum decant_fact_state { DECANT_UNKNOWN = 0, DECANT_NO = 1, DECANT_YES = 2 };

struct decant_fact {
	char name[32];
	uint32_t state;       /* enum decant_fact_state */
	uint32_t masked;      /* 1: switched off by the mask */
	uint64_t value;       /* a limit or a size, where the fact has one */
	char why[168];        /* how it was found out */
	char what[96];        /* what the fact is about */
};

/*
 * The facts of this kernel and machine; each is found out by trying, once.
 * Returns how many facts there are; writes at most n of them.
 */
DECANT_CHECK int decant_facts(struct decant *d, struct decant_fact *facts, unsigned n);

/* Names of all routes, in the planner's order; NULL-terminated, static. */
const char *const *decant_routes(void);

/*
 * Measure this machine's cost per call and per byte of every route, in about
 * seconds_max seconds, with scratch files in dir (NULL: $TMPDIR or /tmp), and
 * write it to path (NULL: the user's cache).  The engine uses it at once.
 */
DECANT_CHECK int decant_calibrate(struct decant *d, const char *path, const char *dir,
				  unsigned seconds_max);

/* --------------------------------------------------------------- captures */

/*
 * A process whose memory is to be captured.  Opening it looks at it only:
 * nothing is attached and nothing stops.
 */
struct decant_target;

/*
 * pid: as the caller sees it.  Errors, each with its sentence: -ESRCH (no such
 * process, a kernel thread, a zombie), -EPERM (says which capability or
 * setting is missing), -EBUSY (traced already, says by whom), -ENOTSUP (32-bit
 * or unknown architecture), -EAGAIN (vfork in progress), -ENOMEM, -EMFILE.
 */
DECANT_CHECK int decant_target_open(struct decant *d, struct decant_target **ret, pid_t pid);
/* NULL is fine. */
void decant_target_close(struct decant_target *t);

enum decant_strategy {
	DECANT_STRATEGY_AUTO = 0,    /* what meets pause_max_ns */
	DECANT_STRATEGY_PRECOPY = 1, /* copied while it runs; the stop takes the residue */
	DECANT_STRATEGY_FORK = 2,    /* a copy-on-write shadow is made in the stop, read later */
	DECANT_STRATEGY_STOP = 3,    /* everything is copied in the stop */
};

enum decant_capture_flags {
	DECANT_CAPTURE_ALL = 1 << 0,         /* all readable memory, whatever the filter says */
	DECANT_CAPTURE_BEST_EFFORT = 1 << 1, /* capture even when pause_max_ns cannot be met */
	DECANT_CAPTURE_FILTER = 1 << 2,      /* filter is set; else the target's coredump_filter */
	DECANT_CAPTURE_ZSTD = 1 << 3,        /* compressed, in frames of a MiB */
	DECANT_CAPTURE_UNSAFE = 1 << 4,      /* where no signal frame is possible (shadow stacks, no
					      * room on any stack) change registers in place: our
					      * death in the stop would then kill the target */
	DECANT_CAPTURE_YIELD = 1 << 5,       /* the calling thread gives way to the target while it
					      * copies: it has nice 5 from then on */
};

/* How far a capture is; the strings are static. */
struct decant_capture_progress {
	const char *phase;        /* "arming", "round 2", "stopped", "reading", "writing" */
	uint64_t bytes;           /* copied so far, all rounds */
	uint64_t expected_bytes;  /* of this phase and those before; 0: not known */
};

struct decant_capture_options {
	uint32_t size;
	uint32_t flags;           /* enum decant_capture_flags */
	uint32_t strategy;        /* enum decant_strategy */
	uint32_t filter;          /* bits of coredump_filter */
	uint64_t pause_max_ns;    /* 0: 5 ms */
	uint64_t timeout_ns;      /* of the whole capture; 0: no limit */
	uint64_t rate_bytes;      /* per second, reading from the target; 0: no limit */
	/* Called on the calling thread now and then; not 0: cancel (-ECANCELED). */
	int (*progress)(void *arg, const struct decant_capture_progress *p);
	void *progress_arg;
};
#define DECANT_CAPTURE_OPTIONS_INIT { .size = sizeof(struct decant_capture_options) }

enum decant_image_format { DECANT_IMAGE_CORE = 0 };

/*
 * Where the image goes.  A regular file, empty, opened for reading and
 * writing (O_DIRECT is switched on by us where the file system has it), or a
 * stream (pipe, socket; DECANT_STRATEGY_FORK or _STOP).  The caller's to
 * close; after an error what is in it is worth nothing.
 */
struct decant_image_sink {
	uint32_t size;
	uint32_t format;          /* enum decant_image_format */
	int32_t fd;
};
#define DECANT_IMAGE_SINK_INIT { .size = sizeof(struct decant_image_sink), .fd = -1 }

struct decant_capture_report {
	uint32_t size;
	uint32_t strategy;        /* the one that made the image */
	uint32_t rounds;          /* of pre-copying, 0 for fork and stop */
	uint32_t threads;
	uint32_t mappings;
	uint32_t stops;           /* how often the target was stopped, the last included */
	uint64_t pause_ns;        /* longest stop: from the first interrupt of a thread at work
				   * to the last of those let go */
	uint64_t pauses_ns;       /* all of them together */
	uint64_t total_ns;
	uint64_t memory_bytes;    /* in the image */
	uint64_t file_bytes;      /* length of the file or stream */
	uint64_t copied_bytes;    /* read from the target, all rounds */
	uint64_t residue_bytes;   /* of it, inside the last stop: written since the last round */
	uint64_t stopped_bytes;   /* of it, inside the last stop: what nothing else covers */
	uint64_t swapped_bytes;
	uint64_t unreadable_bytes;/* no part of the image; the note in it says where */
	uint64_t mixed_bytes;     /* of mapped files that were written to while they were read: they
				   * may not be of the instant */
	uint64_t whole_pause_ns;  /* longest stop as an idle thread saw it: with very many
				   * threads, stopping these takes time before and after */
	uint64_t cpu_ns;          /* of our threads */
	uint64_t instant_ns;      /* CLOCK_MONOTONIC: the image is of this instant, when the last
				   * stop began for the threads at work */
	char tracking[16];        /* "wp", "soft-dirty", "" */
	char message[168];        /* after an error: "what: why"; else why this strategy */
};
#define DECANT_CAPTURE_REPORT_INIT { .size = sizeof(struct decant_capture_report) }

/*
 * Capture a consistent image: memory and registers of one instant.  Blocks
 * until the image is written (not durable: that is the caller's fsync).  The
 * target goes on before that: only report->pauses_ns stop it.  report may be
 * NULL; after an error its message says why and what of it is known is set.
 *
 * Errors: those of decant_target_open(); -ETIME (timeout_ns), -ECANCELED,
 * -E2BIG (nothing meets pause_max_ns: says what would, the target was left
 * alone), -ENOSPC and others of the sink, -ESPIPE (a stream and
 * DECANT_STRATEGY_PRECOPY), -ENOTSUP (this kernel or target cannot be captured
 * this way), -EINVAL.
 */
DECANT_CHECK int decant_capture(struct decant *d, struct decant_target *t,
				const struct decant_capture_options *options,
				const struct decant_image_sink *sink,
				struct decant_capture_report *report);

/* What a strategy would take; predicted without stopping anything. */
struct decant_forecast {
	uint32_t strategy;        /* enum decant_strategy */
	uint32_t possible;        /* 0: why says the reason */
	uint64_t pause_ns;
	uint64_t total_ns;
	uint64_t copied_bytes;
	char why[168];
};

struct decant_capture_plan {
	uint32_t size;
	uint32_t strategy;        /* what DECANT_STRATEGY_AUTO would take; AUTO: none is in time */
	uint64_t memory_bytes;    /* that would be in the image */
	uint64_t huge_bytes;      /* of it, mapped by huge pages */
	uint64_t stopped_bytes;   /* must be copied in the stop, whatever the strategy */
	uint64_t dirty_bytes_per_s; /* sampled; UINT64_MAX: cannot be sampled from outside */
	uint32_t threads;
	uint32_t mappings;
	struct decant_forecast forecasts[3]; /* precopy, fork, stop */
	char stopped_why[168];    /* what the stopped bytes are; "" for none */
};
#define DECANT_CAPTURE_PLAN_INIT { .size = sizeof(struct decant_capture_plan) }

/*
 * Predict.  Stops nothing and changes nothing.  sample_ns: how long the dirty
 * rate is sampled (0: 200 ms).
 */
DECANT_CHECK int decant_capture_plan(struct decant *d, struct decant_target *t,
				     const struct decant_capture_options *options,
				     uint64_t sample_ns, struct decant_capture_plan *ret);

/* --------------------------------------------------------------- predumps */

enum decant_predump_flags {
	DECANT_PREDUMP_FINAL = 1 << 0,   /* one image more, made in a stop: of one instant */
	DECANT_PREDUMP_STOPPED = 1 << 1, /* after it the target stays stopped (SIGSTOP) */
	DECANT_PREDUMP_CLEAN = 1 << 2,   /* remove first what a killed run left in the directory */
	DECANT_PREDUMP_SYNC = 1 << 3,    /* an image is done when it is on the disk */
	DECANT_PREDUMP_UNSAFE = 1 << 4,  /* as DECANT_CAPTURE_UNSAFE */
	DECANT_PREDUMP_TREE = 1 << 5,    /* the target's descendants, too: all of one instant */
};

enum decant_track {
	DECANT_TRACK_AUTO = 0,
	DECANT_TRACK_WP = 1,             /* asynchronous write protection; one stop to begin with */
	DECANT_TRACK_SOFT_DIRTY = 2,     /* no stop; CRIU can go on from it */
};

/* How pages are read. */
enum decant_predump_mode {
	DECANT_PREDUMP_MODE_AUTO = 0,
	DECANT_PREDUMP_READ = 1,         /* copied from the process, which is not stopped for it */
	/*
	 * A stop for as long as a fork takes, then without a copy from a shadow of it: an
	 * image is then of one instant, but for memory that is not inherited.
	 */
	DECANT_PREDUMP_VMSPLICE = 2,
};

/* decant_predump_options.rounds: until little is left, or no less. */
#define DECANT_PREDUMP_AUTO UINT32_MAX

/* One image that is complete. */
struct decant_predump_round {
	uint32_t image;           /* number of its directory, from 1 */
	uint32_t final;           /* 1: made in the stop */
	uint64_t present_pages;   /* written to the image */
	uint64_t parent_pages;    /* unchanged since the one before */
	uint64_t time_ns;
	uint64_t scan_ns;         /* of it, to find out what was written, and is there */
};

struct decant_remote;

struct decant_predump_options {
	uint32_t size;
	uint32_t flags;           /* enum decant_predump_flags */
	uint32_t rounds;          /* images made while it runs; 0 only with FINAL */
	uint32_t track;           /* enum decant_track */
	uint64_t timeout_ns;      /* of all; 0: no limit */
	uint64_t rate_bytes;      /* per second, reading from the target; 0: no limit */
	/* Both on the calling thread; not 0: cancel (-ECANCELED). */
	int (*progress)(void *arg, const struct decant_capture_progress *p);
	int (*round)(void *arg, const struct decant_predump_round *r);
	void *arg;
	/* Where the pages go, if not to dir, which has all the rest; NULL: to dir. */
	struct decant_remote *to;
	/*
	 * The directory of an earlier image, which becomes the parent of the first one: the
	 * pages that are as they are there are not written again.  NULL: none.
	 */
	const char *parent;
	uint32_t mode;            /* enum decant_predump_mode */
	uint32_t reserved;        /* 0 */
};
#define DECANT_PREDUMP_OPTIONS_INIT { .size = sizeof(struct decant_predump_options), .rounds = 1 }

struct decant_predump_report {
	uint32_t size;
	uint32_t images;          /* complete */
	uint32_t numbered;        /* 0: the image is dir itself; 1: they are dir/1, dir/2, ... */
	uint32_t mappings;        /* of the last image */
	uint32_t threads;         /* of a final image */
	uint32_t stops;
	uint64_t pid;             /* as its own namespace has it, and the images' names */
	uint64_t pause_ns;        /* as in decant_capture_report */
	uint64_t pauses_ns;
	uint64_t total_ns;
	uint64_t cpu_ns;
	uint64_t present_pages;   /* in all images */
	uint64_t last_pages;      /* of them, in the last one */
	uint64_t parent_pages;    /* of the last one */
	uint64_t copied_bytes;    /* read from the target */
	uint64_t residue_bytes;   /* of it, in the stop of a final image */
	uint64_t unreadable_bytes;/* were there and could not be read */
	char tracking[16];        /* "wp", "soft-dirty", "" */
	char message[168];        /* after an error: "what: why" */
	char mode[16];            /* how the last image was read: "read", "vmsplice" */
	char mode_why[136];       /* and why so */
	uint32_t processes;       /* in the last image */
	uint32_t frozen;          /* 1: by their cgroup, for the final image of a tree */
};
#define DECANT_PREDUMP_REPORT_INIT { .size = sizeof(struct decant_predump_report) }

/*
 * Copy the private memory of a target into CRIU's memory images while it runs:
 * one image in dir, or a chain of them in dir/1, dir/2, ..., each of which has
 * what was written since the one before.  With DECANT_PREDUMP_FINAL the last
 * one is of one instant, with registers (decant_images_core()) and with shared
 * anonymous memory.  A directory without inventory.img is not complete.
 *
 * Blocks.  report may be NULL; after an error those images stay that were
 * complete.  Errors: -EEXIST (there are images, or what a killed run left),
 * -ETIME, -ECANCELED, -ENOSPC and others of the file system, -ESRCH (the target
 * is gone), -ENOTSUP (writes cannot be tracked), -EINVAL, -ENOMEM.
 */
DECANT_CHECK int decant_predump(struct decant *d, struct decant_target *t, const char *dir,
				const struct decant_predump_options *options,
				struct decant_predump_report *report);

/* A chain whose images are made when they are asked for; what is written is tracked all along. */
struct decant_predump_chain;

/*
 * options: track, UNSAFE, TREE; the time, and the rest where an image has no options
 * of its own.  rounds does not count.  NULL: the defaults.  The target must
 * stay open.
 */
DECANT_CHECK int decant_predump_begin(struct decant *d, struct decant_predump_chain **ret,
				      struct decant_target *t,
				      const struct decant_predump_options *options);
/*
 * The next image, into dir, whose parent is the one before (by the name that was
 * given, so that the working directory must not change).  options: all but
 * rounds, track, UNSAFE and TREE, for this image; FINAL ends the chain.  After an
 * error the next image has all of memory.  options and report may be NULL; the
 * report is of this image alone, but for `images`.
 */
DECANT_CHECK int decant_predump_next(struct decant_predump_chain *c, const char *dir,
				     const struct decant_predump_options *options,
				     struct decant_predump_report *report);
/* Ends the tracking; images stay.  NULL is fine. */
void decant_predump_end(struct decant_predump_chain *c);

/* ------------------------------------------------------------ dirty pages */

/*
 * Which pages a target writes, and how fast: looked at again and again while it
 * runs.  One short stop to begin with (none with soft-dirty bits), then about a
 * microsecond for the first write to each page after a look.
 */
struct decant_dirty;

enum decant_dirty_flags {
	DECANT_DIRTY_UNSAFE = 1 << 0, /* as DECANT_CAPTURE_UNSAFE */
};

struct decant_dirty_options {
	uint32_t size;
	uint32_t flags;           /* enum decant_dirty_flags */
	uint32_t track;           /* enum decant_track */
	uint32_t reserved;        /* 0 */
	/* Of decant_dirty_plan(): */
	uint64_t bandwidth_bytes; /* per second, of where an image would go; 0: measured */
	uint64_t pause_max_ns;    /* 0: 5 ms */
	const char *dir;          /* where its disk is measured; NULL: only reading is */
};
#define DECANT_DIRTY_OPTIONS_INIT { .size = sizeof(struct decant_dirty_options) }

struct decant_dirty_report {
	uint32_t size;
	uint32_t stops;           /* 0 with soft-dirty bits */
	uint64_t pause_ns;        /* as in decant_capture_report */
	uint64_t whole_pause_ns;
	char tracking[16];        /* "wp", "soft-dirty" */
};
#define DECANT_DIRTY_REPORT_INIT { .size = sizeof(struct decant_dirty_report) }

/*
 * Begin to track; t stays open until decant_dirty_end().  options and report may
 * be NULL.  Errors: those of decant_target_open(), -ENOTSUP (writes cannot be
 * tracked), -EINVAL, -ENOMEM.
 */
DECANT_CHECK int decant_dirty_begin(struct decant *d, struct decant_dirty **ret,
				    struct decant_target *t,
				    const struct decant_dirty_options *options,
				    struct decant_dirty_report *report);

/*
 * Look: what was written since the last look belongs to the interval.  Needed
 * for nothing but the forecast, which wants to know of short times, too: look
 * after 1 ms, 2 ms, 4 ms, ...  -ESRCH: the target has ended, or has executed
 * another program.
 */
DECANT_CHECK int decant_dirty_look(struct decant_dirty *c);

enum decant_dirty_mapping_flags {
	DECANT_DIRTY_READ = 1, DECANT_DIRTY_WRITE = 2, DECANT_DIRTY_EXEC = 4,
	/* A page counts as written when the target first maps it, too; what others write
	 * does not. */
	DECANT_DIRTY_SHARED = 8,
	DECANT_DIRTY_FILE = 16,
	DECANT_DIRTY_UNSEEN = 32, /* cannot be tracked: pages is 0, whatever is written */
};

struct decant_dirty_mapping {
	uint64_t start, end;
	uint64_t pages;           /* written in the interval, and still there at its end */
	uint32_t flags;           /* enum decant_dirty_mapping_flags */
	uint32_t reserved;
	const char *name;         /* as /proc/PID/maps has it: "[heap]", a path, "" */
};

struct decant_dirty_range {
	uint64_t start, end;
};

struct decant_dirty_interval {
	uint32_t size;
	uint32_t looks;
	uint64_t begin_ns, end_ns;/* since the tracking began */
	uint64_t pages;           /* of 4 KiB, each once */
	uint64_t gone_pages;      /* of them, in mappings that are no more */
	uint64_t new_pages;       /* of them, in no interval before */
	uint64_t seen_pages;      /* in this interval or one before, each once */
	/* By address, and valid until the next call; neighbours of one name are one mapping.
	 * Those that can be written to, or were. */
	const struct decant_dirty_mapping *mappings;
	size_t mappings_n;
	const struct decant_dirty_range *ranges; /* the pages */
	size_t ranges_n;
};
#define DECANT_DIRTY_INTERVAL_INIT { .size = sizeof(struct decant_dirty_interval) }

/*
 * Look, and end the interval; the next one begins.  -ESRCH as above: *ret is
 * then what was seen in looks before, without mappings.
 */
DECANT_CHECK int decant_dirty_next(struct decant_dirty *c, struct decant_dirty_interval *ret);

struct decant_dirty_window {
	uint64_t ns;              /* so long, on average */
	uint64_t pages;           /* written in it, each once, on average */
	uint64_t n;               /* of so many windows */
};

#define DECANT_DIRTY_WINDOWS_MAX 48

enum decant_dirty_bandwidth {
	DECANT_DIRTY_GIVEN = 0,   /* by options.bandwidth_bytes */
	DECANT_DIRTY_DISK = 1,    /* writing to a file in options.dir */
	DECANT_DIRTY_READING = 2, /* reading the target's memory, which was slower or all */
};

struct decant_dirty_forecast {
	uint32_t strategy;        /* enum decant_strategy */
	uint32_t possible;        /* 0: why says the reason */
	uint32_t converges;       /* precopy: 0: rounds do not shrink; the others: 1 */
	uint32_t rounds;          /* of precopy, the first one that copies all not counted */
	uint64_t pause_ns, total_ns;
	uint64_t copied_bytes;    /* in all rounds and the stop */
	uint64_t residue_bytes;   /* precopy: of it, written since the last round */
	uint64_t twice_bytes;     /* fork: memory that it needs at the end for what was written */
	char why[168];
};

struct decant_dirty_plan {
	uint32_t size;
	uint32_t strategy;        /* with the shortest time among those within pause_max_ns; else
				   * DECANT_STRATEGY_AUTO */
	uint32_t bandwidth_from;  /* enum decant_dirty_bandwidth */
	uint32_t windows_n;
	uint64_t bandwidth_bytes; /* per second */
	uint64_t pause_max_ns;
	uint64_t memory_bytes;    /* that would be in an image */
	uint64_t stopped_bytes;   /* of it, copied in the stop whatever the strategy */
	char stopped_why[168];
	struct decant_dirty_forecast forecasts[3]; /* precopy, fork, stop */
	struct decant_dirty_window windows[DECANT_DIRTY_WINDOWS_MAX]; /* by length */
};
#define DECANT_DIRTY_PLAN_INIT { .size = sizeof(struct decant_dirty_plan) }

/*
 * What a capture would take, from what was written in times of different
 * length.  Measures the bandwidth if it is not given: some 64 MiB are read from
 * the target and written to a file without a name.  May be called after -ESRCH,
 * too.  -ENODATA: there was no interval yet.
 */
DECANT_CHECK int decant_dirty_plan(struct decant_dirty *c, struct decant_dirty_plan *ret);

/* Takes the tracking off; the target must still be open.  NULL is fine. */
void decant_dirty_end(struct decant_dirty *c);

/* ----------------------------------------------------------------- images */

/*
 * A directory of CRIU memory images (pagemap-*.img, pages-*.img) and its chain
 * of parents, for reading.  Nothing in it is trusted; memory does not depend on
 * its size.  Functions that take fn call it on the calling thread; not 0 ends
 * them and is returned (use a negative errno).
 */
struct decant_images;

enum decant_images_open_flags {
	DECANT_IMAGES_BROKEN = 1 << 0, /* a parent that is missing is no error yet */
};

/*
 * dir: as open() takes it.  Level 0 is dir, level 1 its parent, and so on.
 * -ENOENT, -ENOTDIR, -ELOOP (a ring of parents), -EMLINK (more than 256), ...
 */
DECANT_CHECK int decant_images_open(struct decant *d, struct decant_images **ret, const char *dir,
				    uint32_t flags);
/* NULL is fine. */
void decant_images_close(struct decant_images *i);

struct decant_images_level {
	uint32_t size;
	uint32_t complete;        /* 1: has an inventory */
	uint32_t unfinished;      /* 1: a writer is at work, or was killed */
	uint32_t img_version, pre_dump_mode; /* of the inventory */
	uint64_t dump_uptime_us;
	const char *path, *parent;/* the images' own; parent NULL: none */
};
#define DECANT_IMAGES_LEVEL_INIT { .size = sizeof(struct decant_images_level) }

/* How many levels there are; *ret (may be NULL) is that of `level`. */
DECANT_CHECK int decant_images_level(const struct decant_images *i, unsigned level,
				     struct decant_images_level *ret);

enum decant_images_kind {
	DECANT_IMAGES_PROCESS = 0, /* id: the process, as its own namespace has it */
	DECANT_IMAGES_SHMEM = 1,   /* id: a shared memory object; addresses are offsets in it */
};

/* Of an entry of a pagemap. */
enum decant_images_flags {
	DECANT_IMAGES_PARENT = 1 << 0,   /* its pages are in the parent */
	DECANT_IMAGES_LAZY = 1 << 1,
	DECANT_IMAGES_PRESENT = 1 << 2,  /* its pages are in pages-*.img */
};

struct decant_images_map {
	uint32_t size;
	uint32_t kind;            /* enum decant_images_kind */
	uint64_t id;
	uint32_t pages_id;
	int32_t error;            /* it cannot be read to its end: numbers are so far */
	uint64_t entries, present_pages, parent_pages, lazy_pages;
	uint64_t file_bytes;      /* length of pages-*.img */
	char message[168];        /* after an error */
};

/* Each pagemap of a level; -ENOENT: no such level. */
DECANT_CHECK int decant_images_maps(struct decant_images *i, unsigned level,
				    int (*fn)(void *arg, const struct decant_images_map *m),
				    void *arg);

struct decant_images_range {
	uint64_t start, end;
	uint64_t offset;          /* of its pages in that level's pages-*.img */
	uint32_t flags;           /* enum decant_images_flags */
	uint32_t level;           /* where its pages are */
};

/* The entries of one pagemap of a level as they stand there. */
DECANT_CHECK int decant_images_entries(struct decant_images *i, unsigned level, uint32_t kind,
				       uint64_t id,
				       int (*fn)(void *arg, const struct decant_images_range *r),
				       void *arg);
/* The pages of level 0, each where it is in the chain; -ENODATA: one is in no parent. */
DECANT_CHECK int decant_images_pages(struct decant_images *i, uint32_t kind, uint64_t id,
				     int (*fn)(void *arg, const struct decant_images_range *r),
				     void *arg);

enum decant_images_mapping_flags {
	DECANT_IMAGES_READ = 1, DECANT_IMAGES_WRITE = 2, DECANT_IMAGES_EXEC = 4,
	DECANT_IMAGES_SHARED = 8,
	DECANT_IMAGES_FILE = 16,
	DECANT_IMAGES_IN_SHMEM = 32, /* shmid says in which */
};

struct decant_images_mapping {
	uint64_t start, end, file_offset, shmid;
	uint32_t flags;           /* enum decant_images_mapping_flags */
	uint32_t reserved;
	const char *name;         /* valid in fn only; "": none */
};

/* The mappings of level 0's note file; -ENODATA: it has none of that process. */
DECANT_CHECK int decant_images_mappings(struct decant_images *i, uint64_t pid,
					int (*fn)(void *arg,
						  const struct decant_images_mapping *m),
					void *arg);

struct decant_images_fault {
	uint32_t level;
	uint32_t notice;          /* 1: unusual, but nothing is lost */
	uint32_t of_map;          /* 1: kind and id say of which */
	uint32_t kind;
	uint64_t id;
	uint64_t addr, pages;     /* pages 0: not about pages */
	char message[168];
};

/* Everything that is wrong, by level; the number of faults, without notices. */
DECANT_CHECK int64_t decant_images_check(struct decant_images *i,
					 int (*fn)(void *arg,
						   const struct decant_images_fault *f),
					 void *arg);

enum decant_images_flatten_flags {
	DECANT_IMAGES_CLEAN = 1 << 0, /* remove first what a killed run left in `to` */
	DECANT_IMAGES_SYNC = 1 << 1,  /* return when it is on the disk */
};

struct decant_images_report {
	uint32_t size;
	uint32_t mappings;        /* of a core */
	uint64_t maps;            /* pagemaps */
	uint64_t pages;           /* put into the new pages-*.img, or core */
	uint64_t copied_bytes;    /* of them through a CPU; the rest shares blocks */
	uint64_t stray_pages;     /* in no mapping: not in the core */
	uint64_t file_bytes;      /* of the core */
};
#define DECANT_IMAGES_REPORT_INIT { .size = sizeof(struct decant_images_report) }

/*
 * Merge the chain into one: a new directory `to`, with all other files of level
 * 0, or (NULL) in level 0's place.  Killed anywhere, what was there is whole.
 * -EEXIST (to holds something), -ENODATA, -EBADMSG, -ENOSPC, ...
 * ret may be NULL.
 */
DECANT_CHECK int decant_images_flatten(struct decant_images *i, const char *to, uint32_t flags,
				       struct decant_images_report *ret);

/*
 * A final image as an ELF core: fd is a regular file, empty, open for reading
 * and writing.  -ENODATA: there is no note file with registers.  ret may be NULL.
 */
DECANT_CHECK int decant_images_core(struct decant_images *i, uint64_t pid, int fd,
				    struct decant_images_report *ret);

enum decant_images_what {
	DECANT_IMAGES_SAME = 0,
	DECANT_IMAGES_DIFFERS = 1,
	DECANT_IMAGES_ONLY_A = 2,
	DECANT_IMAGES_ONLY_B = 3,
};

struct decant_images_change {
	uint32_t kind;            /* enum decant_images_kind */
	uint32_t what;            /* enum decant_images_what */
	uint64_t id;
	uint64_t start, end;
};

/* The pages of both, compared: by kind, id and address. */
DECANT_CHECK int decant_images_diff(struct decant_images *a, struct decant_images *b,
				    int (*fn)(void *arg, const struct decant_images_change *c),
				    void *arg);

/* ----------------------------------------------------------- page servers */

/*
 * CRIU's page-server protocol, from both sides: memory images go over a
 * connection while everything else stays where it is.
 *
 * TLS is as CRIU has it: certificates on both sides, no beginning in plain.
 * All files are PEM.
 */
struct decant_tls {
	uint32_t size;
	uint32_t reserved;        /* 0 */
	const char *cert, *key;   /* ours */
	const char *ca;           /* the peer's must be signed by it */
	const char *crl;          /* certificates that are not valid any more; NULL: none */
	const char *name;         /* client: the server's must name it; NULL: any of ca */
};
#define DECANT_TLS_INIT { .size = sizeof(struct decant_tls) }

/* A page server somewhere else: decant_predump_options.to. */
struct decant_remote;

struct decant_remote_options {
	uint32_t size;
	uint32_t header_bytes;    /* 24: CRIU up to 4.1, 32: since 4.2, 0: find out */
	/*
	 * A stream socket that is connected, which becomes the library's, or a
	 * negative errno.  Called once for each image, on the calling thread.
	 */
	int (*connect)(void *arg);
	void *arg;
	const struct decant_tls *tls; /* NULL: plain */
	uint64_t patience_ns;     /* with a silent peer; 0: a minute */
};
#define DECANT_REMOTE_OPTIONS_INIT { .size = sizeof(struct decant_remote_options) }

/* Nothing is connected yet.  -EINVAL; -ENOTSUP: no TLS here; -ENOMEM. */
DECANT_CHECK int decant_remote_open(struct decant *d, struct decant_remote **ret,
				    const struct decant_remote_options *options);
/* NULL is fine. */
void decant_remote_close(struct decant_remote *r);

enum decant_page_server_flags {
	DECANT_PAGE_SERVER_ONCE = 1 << 0,    /* one connection, then end */
	DECANT_PAGE_SERVER_CLEAN = 1 << 1,   /* remove first what a killed run left */
	DECANT_PAGE_SERVER_SYNC = 1 << 2,    /* a client hears of the end when it is on disk */
	DECANT_PAGE_SERVER_DISCARD = 1 << 3, /* throw the pages away; for measuring */
	DECANT_PAGE_SERVER_CHAIN = 1 << 4,   /* dir/1, dir/2, ...: see below */
};

/* One connection that has ended. */
struct decant_page_connection {
	uint32_t size;
	int32_t error;            /* 0, or why nothing of it was kept */
	uint64_t number;          /* 1, 2, ... as they came */
	uint32_t pagemaps;
	uint32_t header_bytes;    /* 24, 32; 0: it said nothing */
	uint64_t present_pages, parent_pages;
	uint64_t bytes;           /* received */
	uint64_t time_ns;
	uint32_t image;           /* with CHAIN: which; else 0 */
	uint32_t reserved;
	char peer[56];            /* its address, "" if it has none */
	char message[168];        /* after an error: "what: why" */
};

struct decant_page_server_options {
	uint32_t size;
	uint32_t flags;           /* enum decant_page_server_flags */
	const char *parent;       /* the images before these; NULL: none */
	const struct decant_tls *tls; /* NULL: plain, and anybody who can connect may write */
	uint32_t connections_max; /* at once; 0: 64, at most 256 */
	uint32_t reserved;        /* 0 */
	uint64_t patience_ns;     /* with a silent peer; 0: a minute */
	uint64_t limit_bytes;     /* that one connection may store; 0: what the disk has */
	/* Told of each, on the thread that is in decant_page_server_run(). */
	void (*connection)(void *arg, const struct decant_page_connection *c);
	void *arg;
};
#define DECANT_PAGE_SERVER_OPTIONS_INIT { .size = sizeof(struct decant_page_server_options) }

struct decant_page_server_report {
	uint32_t size;
	int32_t error;            /* of the last connection that failed */
	uint64_t connections;     /* that ended well, with an image */
	uint64_t failed;
	uint64_t refused;         /* too many at once */
	uint64_t pagemaps, present_pages, parent_pages;
	uint64_t bytes;
};
#define DECANT_PAGE_SERVER_REPORT_INIT { .size = sizeof(struct decant_page_server_report) }

/*
 * Takes memory images for dir: those of `criu dump --page-server` and of a
 * predump with a decant_remote.  A connection may bring several processes; its
 * pagemaps get their names when it is complete, and nothing is left of one that
 * is not.  A pagemap that is there is replaced; two connections that bring the
 * same process at the same time: the second is broken off.  Nothing that a peer
 * says is trusted; memory is bounded, some 40 MiB, whatever comes.
 *
 * With CHAIN a connection that brings a process again makes a new image, in
 * dir/2, dir/3, ..., whose parent is the one before.  Otherwise the parent of
 * all is options.parent.
 *
 * listen_fd: a socket that listens; stays the caller's, and is made
 * non-blocking.  dir may be NULL with DISCARD.
 */
struct decant_page_server;

/*
 * Makes dir if it is not there.  Errors: -EEXIST (what a killed run left),
 * -EBUSY (somebody else writes it), -EINVAL, -ENOTSUP (no TLS here), ...
 */
DECANT_CHECK int decant_page_server_open(struct decant *d, struct decant_page_server **ret,
					 const char *dir, int listen_fd,
					 const struct decant_page_server_options *options);
/* Serve until stopped, or with ONCE until one connection has ended.  report may be NULL. */
DECANT_CHECK int decant_page_server_run(struct decant_page_server *s,
					struct decant_page_server_report *report);
/*
 * No new connections; those that are there may end, or with now != 0 are broken
 * off.  From any thread, and from signal handlers.
 */
void decant_page_server_stop(struct decant_page_server *s, int now);
/* Not while it runs.  NULL is fine. */
void decant_page_server_close(struct decant_page_server *s);

/* ---------------------------------------------------------------- running */

/*
 * Runs an unmodified program under another semantic of vmsplice(2) and of
 * splice(2) and its like, and counts what it does with them.  Not a sandbox: a
 * program that wants to evade it can.
 */
enum decant_mechanism {
	DECANT_MECHANISM_AUTO = 0,    /* by need; result.mechanism says which */
	DECANT_MECHANISM_TRACE = 1,   /* ptrace: the kernel carries out another call; exact */
	DECANT_MECHANISM_NOTIFY = 2,  /* seccomp: leaves the program to other tracers */
	DECANT_MECHANISM_PRELOAD = 3, /* fast; dynamically linked programs only */
};

enum decant_report {
	DECANT_REPORT_NONE = 0,
	DECANT_REPORT_TEXT = 1,
	DECANT_REPORT_JSON = 2,
};

enum decant_run_flag {
	/*
	 * The program is CRIU, and what it dumps was started by decant_run() by
	 * mechanism notify: what it does inside of that is to be seen there.
	 */
	DECANT_RUN_DUMPER = 1,
};

struct decant_run_options {
	uint32_t size;
	uint32_t mechanism;       /* enum decant_mechanism */
	uint32_t report;          /* enum decant_report */
	/*
	 * Words with commas.  One of legacy, warn, copy-v1, copy-v2, deny for
	 * vmsplice; and stable, audit, nowait=ideal, nowait=kernel.
	 */
	const char *policy;
	/* Called on a thread of ours: policy warn's lines, as things happen. */
	void (*line)(void *arg, const char *text);
	/* Called on a thread of ours when the program has its number. */
	void (*started)(void *arg, pid_t pid);
	void *arg;
	uint32_t flags;           /* enum decant_run_flag */
};
#define DECANT_RUN_OPTIONS_INIT { .size = sizeof(struct decant_run_options) }

struct decant_run_result {
	uint32_t size;
	int32_t status;           /* of the program, as waitpid() has it */
	uint64_t calls;           /* that were counted */
	char *report;             /* the caller's to free(); NULL: none was asked for */
	char mechanism[16];       /* "none": the kernel's filter alone, or nothing at all */
	char message[168];        /* after an error: "what: why" */
};
#define DECANT_RUN_RESULT_INIT { .size = sizeof(struct decant_run_result) }

/*
 * Run argv[0] (found as by execvp) with the caller's environment, descriptors
 * and signal mask, and wait until nobody is left who needs the supervisor: the
 * program and all that it started.  0, and *ret; or a negative errno with
 * ret->message: -EINVAL (options, policy), -ENOTSUP (the mechanism cannot do
 * that), -ENOENT, -EACCES and others of the exec, -EPERM, -ENOMEM; -ENODATA: it
 * has ended, and what a dumper did was not seen (a report is made all the same).
 */
DECANT_CHECK int decant_run(const struct decant_run_options *options, const char *const *argv,
			    struct decant_run_result *ret);

/* ---------------------------------------------------------------- serving */

/*
 * Files of a directory, over HTTP/1.1.  Every byte that is sent was copied, once,
 * out of the file as it was while its answer was sent; what happens to the file
 * later, nobody sees.  It is no proxy, and has no TLS.
 *
 * A server has workers, each of them one loop with sockets and an engine of its
 * own.  Whoever calls decant_serve_run() for one lends it a thread, or, after a
 * fork(), a process: it is for the caller to say what a crash takes along.
 */
struct decant_server;

enum decant_serve_flags {
	DECANT_SERVE_NO_LISTING = 1 << 0,  /* a directory without index.html is forbidden */
	DECANT_SERVE_HIDDEN = 1 << 1,      /* names that begin with a dot, too */
	DECANT_SERVE_FOLLOW = 1 << 2,      /* symbolic links that lead out of it, too */
	DECANT_SERVE_NO_PRECOMPRESSED = 1 << 3, /* x.zst and x.gz are not sent in x's place */
	DECANT_SERVE_LOG_JSON = 1 << 4,    /* one object a line; else the combined log format */
};

struct decant_serve_options {
	uint32_t size;
	uint32_t flags;           /* enum decant_serve_flags */
	const char *path;         /* a directory, or one file */
	const char *listen;       /* "ADDRESS:PORT", numeric; port 0: any; NULL: 127.0.0.1:8080 */
	uint32_t workers;         /* 0: one per CPU */
	uint32_t connections_max; /* in all; 0: as many as there can be descriptors */
	uint32_t idle_ms;         /* between requests; 0: 60 s */
	uint32_t head_ms;         /* for the head of a request, from its beginning; 0: 15 s */
	uint32_t stall_ms;        /* no byte of an answer was taken; 0: 60 s */
	int32_t log_fd;           /* -1: no log; the caller's */
	uint64_t rate_bytes;      /* per second, in all; 0: no limit */
	uint64_t client_rate_bytes; /* to one address (IPv6: one /64); 0: no limit */
	const char *mime_file;    /* media types that come before the system's; NULL: none */
	const char *mask;         /* as in decant_options */
};
#define DECANT_SERVE_OPTIONS_INIT { .size = sizeof(struct decant_serve_options), .log_fd = -1 }

struct decant_serve_report {
	uint32_t size;
	uint32_t workers;         /* that there are to be run: 0 to workers - 1 */
	uint32_t connections;     /* open now */
	uint32_t reserved;
	uint64_t requests;        /* answered, or cut off */
	uint64_t sent_bytes;      /* without heads */
	uint64_t lost_lines;      /* of the log, for its reader was too slow */
	char address[64];         /* "127.0.0.1:8080", as bound */
	char message[168];        /* after an error: "what: why" */
};
#define DECANT_SERVE_REPORT_INIT { .size = sizeof(struct decant_serve_report) }

/*
 * Open what is served and bind the sockets: what needs rights can be given up
 * then.  No thread is made, so that the caller may fork.  report may be NULL.
 * Errors: -EINVAL (options, address), -EADDRINUSE, -EACCES, -ENOENT, -ENOTSUP
 * (neither directory nor file), -ENOMEM, -EMFILE.
 */
DECANT_CHECK int decant_serve_open(struct decant_server **ret,
				   const struct decant_serve_options *options,
				   struct decant_serve_report *report);
/*
 * Be one of the workers until decant_serve_stop(); blocks.  0, or what made it
 * impossible to go on, with report->message; report may be NULL.
 */
DECANT_CHECK int decant_serve_run(struct decant_server *s, uint32_t worker,
				  struct decant_serve_report *report);
/*
 * The workers that run in this process accept no more, finish what they are
 * sending, for grace_ms at most, and return.  May be called from a signal
 * handler and from any thread, and again, to be quicker.  Once stopped, it stays so.
 */
void decant_serve_stop(struct decant_server *s, uint32_t grace_ms);
/* How it is, over all workers, those in other processes included. */
DECANT_CHECK int decant_serve_status(const struct decant_server *s,
				     struct decant_serve_report *ret);
/* No worker may run here any more.  NULL is fine. */
void decant_serve_close(struct decant_server *s);

/* "0.1.0" */
const char *decant_version(void);

#ifdef __cplusplus
}
#endif
#endif
