/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the benchmark know of each other: a case, the movers that
 * compete in it, and one sample of one of them.
 * Not a part of the library: of that, only decant.h is used here.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define BENCH_AT_ONCE_MAX 256
#define BENCH_MOVERS_MAX 48
#define BENCH_ROUNDS_MAX 32

enum sink { SINK_TCP, SINK_UNIX, SINK_PIPE, SINK_FILE };

struct bench_case {
	char name[64];
	bool from_memory;
	enum sink to;
	bool tmpfs;          /* source files: /dev/shm instead of the disk */
	bool cold;           /* nothing of the sources in the page cache */
	bool direct, durable; /* sink files */
	bool sleeping;       /* the receiver blocks in recv() instead of polling */
	bool split;          /* transfers are pieces of one file, not files */
	uint64_t piece;      /* bytes of one transfer */
	unsigned at_once;
	unsigned repeat;     /* how often at_once transfers in one sample */
	unsigned rounds;
	double limit_s;      /* no further round after this */
};

/* The same for all movers of one case. */
struct setting {
	const struct bench_case *c;
	char *paths[BENCH_AT_ONCE_MAX];
	int from[BENCH_AT_ONCE_MAX];
	void *maps[BENCH_AT_ONCE_MAX]; /* kept mappings, whole files */
	unsigned files_n;
	unsigned char *memory;         /* as a source: one piece for all */
	char to_path[256];             /* sink file */
	const char *scratch;           /* directory on the disk */
	/* of this sample */
	int to[BENCH_AT_ONCE_MAX];
};

struct sample {
	double seconds;      /* until the receiver has everything */
	double cpu_s;        /* of this side, all threads */
	double snapshot_s;   /* mean from submission to SNAPSHOTTED; 0: not told */
	char route[24];
};

struct mover {
	char name[40];
	const char *kind;    /* "loop", "program", "decant", "route", "disk" */
	/*
	 * Move everything once; 0 or a negative errno.
	 */
	int (*run)(struct setting *s, const struct mover *m, struct sample *ret);
	bool blocking;       /* wants descriptors without O_NONBLOCK */
	bool own_time;       /* run() sets cpu_s and, unless 0, seconds */
	bool own_receiver;   /* the bytes do not go to ours */
	bool slow_start;     /* sends SIGUSR1 when it begins */
	unsigned rounds;     /* at most so many; 0: as the case */
	const void *arg;
	uint64_t n;
	/* filled by bench.c */
	unsigned samples_n;
	struct sample samples[BENCH_ROUNDS_MAX];
	int failed;
};

struct movers {
	struct mover m[BENCH_MOVERS_MAX];
	unsigned n;
};

/* Transfers of one sample, and where transfer k is in its source. */
static inline unsigned case_transfers(const struct bench_case *c)
{
	return c->at_once * c->repeat;
}

static inline unsigned case_file(const struct setting *s, unsigned k)
{
	return k % s->files_n;
}

static inline uint64_t case_offset(const struct bench_case *c, unsigned k)
{
	return c->split ? (k % c->at_once) * c->piece : 0;
}

/* cases.c: all cases, in order.  Returns their number. */
unsigned cases_all(struct bench_case *ret, unsigned max, bool quick);

/* ends.c: sources and sinks.  They end the program when they fail. */
void ends_start(const char *disk_dir);  /* starts the receiver's process */
void ends_stop(void);
void ends_case(struct setting *s, const struct bench_case *c);
void ends_case_over(struct setting *s);
void ends_sample(struct setting *s, const struct mover *m); /* before the clock starts */
void ends_wait(const struct setting *s);              /* the receiver has everything */
void ends_sample_over(struct setting *s);

/* Movers; each adds those that fit the case. */
void loops_add(struct movers *ms, const struct setting *s);       /* loops.c: to streams */
void loops_file_add(struct movers *ms, const struct setting *s);  /* loops_file.c: to files */
void programs_add(struct movers *ms, const struct setting *s);    /* programs.c */
void fio_add(struct movers *ms, const struct setting *s);         /* fio.c */
void library_add(struct movers *ms, struct setting *s);           /* library.c */
void library_start(void);
void library_stop(void);
/* Forget what was seen and kept so far. */
void library_restart(void);
const char *library_version(void);

struct mover *movers_new(struct movers *ms, const char *kind, const char *name);

/* programs.c: run a program; its CPU time.  Returns 0 or a negative errno. */
int program_run(const char *const argv[], int in, int out, double *ret_cpu_s);

/* json.c: what was measured, raw. */
void json_open(FILE *f);
void json_case(FILE *f, const struct bench_case *c, const struct movers *ms);
void json_close(FILE *f);

double bench_now(void);
double bench_cpu(void);
void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
