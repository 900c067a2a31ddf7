/* SPDX-License-Identifier: MIT */
/*
 * What is behind struct report.  Private to report*.c: counting, and the two
 * ways to say it.
 */
#ifndef POLICY_REPORT_PRIVATE_H
#define POLICY_REPORT_PRIVATE_H

#include <pthread.h>

#include "policy/report.h"
#include "policy/sites.h"

#define REPORT_LINE_MAX 800
#define REPORT_LINES_MAX 64
#define REPORT_CACHE 32

struct report_site {
	struct report_site *next;    /* of its program */
	enum policy_call call;
	struct site_place place;
	char symbol[SITE_SYMBOL_MAX];
	bool warned;
	struct report_counts counts;
};

struct report_program {
	struct report_program *next;
	char exe[SITE_PATH_MAX];
	uint64_t images;             /* how often it was started */
	struct report_site *sites, *last;
};

struct report_process {
	struct report_process *next;
	pid_t tgid;
	struct report_program *program;
	struct site_maps maps;
	struct {
		uint64_t caller;
		struct report_site *site;
	} cache[REPORT_CACHE];
};

struct report_lines {
	char text[REPORT_LINES_MAX][REPORT_LINE_MAX];
	size_t n;
};

#define REPORT_BUCKETS 256

struct report {
	pthread_mutex_t lock;
	struct policy policy;
	bool counted;
	void (*line)(void *arg, const char *text);
	void *arg;
	struct report_program *programs, *last;
	struct report_process *process[REPORT_BUCKETS];
	struct report_lines holes, notes;
	bool unknown;                /* it was said that results are not seen */
	uint64_t calls, dropped;     /* dropped: no memory for them */
};

/* What the copying cost that native calls would not have done; measured here, now. */
uint64_t report_copy_ns(const struct report_counts *c, double ns_per_byte);
double report_ns_per_byte(void);
/* "SPLICE_F_MOVE|SPLICE_F_GIFT", or "" for none. */
void report_flags(uint32_t flags, const char *separator, char *ret, size_t size);
/* Which ends of a call, in words. */
const char *report_end(const struct report_site *s, bool in, uint32_t kind);
/* "main+0x1f (file+0x1234)". */
void report_where(const struct report_site *s, char *ret, size_t size);
/* Whether any finding says that it would fail under this policy. */
bool report_fails(uint32_t findings);

#endif
