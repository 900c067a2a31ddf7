/* SPDX-License-Identifier: MIT */
/*
 * The benchmark: every mover of a case in turn, round after round, so that a
 * noisy minute hits all of them alike.  Writes what it measured, raw, as JSON;
 * bench/report.py makes tables, verdicts and a chart of it.
 *
 *	bench [--quick] [--json FILE] [--dir DIR] [--case TEXT] [--mover TEXT]
 *	      [--rounds N] [--seconds S] [--list]
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench.h"

#define CASES_MAX 128
/* So many in any case; what is slow has fewer than what was asked for. */
#define ROUNDS_MIN 3

struct options {
	bool quick, list;
	const char *json, *dir, *only, *mover;
	unsigned rounds;
	double seconds;
};

static double bench_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double bench_now(void)
{
	return bench_clock(CLOCK_MONOTONIC);
}

double bench_cpu(void)
{
	return bench_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void bench_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputs("\n", stderr);
	va_end(ap);
	exit(1);
}

struct mover *movers_new(struct movers *ms, const char *kind, const char *name)
{
	struct mover *m = &ms->m[ms->n];

	if (ms->n == BENCH_MOVERS_MAX)
		bench_die("too many movers");
	ms->n++;
	memset(m, 0, sizeof(*m));
	m->kind = kind;
	snprintf(m->name, sizeof(m->name), "%s", name);
	return m;
}

/* One sample of one mover.  keep false: to warm up. */
static void bench_sample(struct setting *s, struct mover *m, bool keep)
{
	struct sample one = { 0 };
	double t0, cpu0;

	ends_sample(s, m);
	t0 = bench_now();
	cpu0 = bench_cpu();
	m->failed = m->run(s, m, &one);
	if (!m->failed && !m->own_receiver)
		ends_wait(s);
	if (!m->own_time) {
		one.cpu_s = bench_cpu() - cpu0;
		one.seconds = bench_now() - t0;
	} else if (one.seconds <= 0) {
		one.seconds = bench_now() - t0;
	}
	/*
	 * Its mappings would keep the source in the cache; and where a sample
	 * is one transfer, the next one would find what this one has left.
	 */
	if (s->c->cold || s->c->repeat == 1)
		library_restart();
	ends_sample_over(s);
	if (m->failed)
		fprintf(stderr, "\n  %s: %s\n", m->name, strerror(-m->failed));
	else if (keep)
		m->samples[m->samples_n++] = one;
}

static void bench_case_run(const struct bench_case *c, const struct options *o, FILE *json)
{
	static struct setting s;
	static struct movers ms;
	unsigned rounds = o->rounds ? o->rounds : c->rounds;
	double start, limit = o->seconds > 0 ? o->seconds : c->limit_s;

	memset(&s, 0, sizeof(s));
	ms.n = 0;
	ends_case(&s, c);
	loops_add(&ms, &s);
	loops_file_add(&ms, &s);
	programs_add(&ms, &s);
	library_add(&ms, &s);
	fio_add(&ms, &s);
	start = bench_now();
	for (unsigned r = 0; r <= rounds; r++) {
		if (r > ROUNDS_MIN && bench_now() - start > limit)
			break;
		fprintf(stderr, "\r%-48s %2u of %u ", c->name, r, rounds);
		for (unsigned i = 0; i < ms.n; i++) {
			struct mover *m = &ms.m[(i + r) % ms.n];

			if (o->mover && !strstr(m->name, o->mover))
				continue;
			if (m->failed || (m->rounds && r > m->rounds))
				continue;
			/* Nothing is warmed up where it is to be cold. */
			if (r > 0 || (!c->cold && c->to != SINK_FILE && !m->own_time))
				bench_sample(&s, m, r > 0);
		}
	}
	fprintf(stderr, "\r%-48s %.0f s          \n", c->name, bench_now() - start);
	ends_case_over(&s);
	if (json)
		json_case(json, c, &ms);
}

static void bench_options(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "quick", 0, NULL, 'q' },  { "json", 1, NULL, 'j' },   { "dir", 1, NULL, 'd' },
		{ "case", 1, NULL, 'c' },   { "mover", 1, NULL, 'm' },  { "rounds", 1, NULL, 'r' },
		{ "seconds", 1, NULL, 's' }, { "list", 0, NULL, 'l' },  { NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (opt) {
		case 'q': o->quick = true; break;
		case 'j': o->json = optarg; break;
		case 'd': o->dir = optarg; break;
		case 'c': o->only = optarg; break;
		case 'm': o->mover = optarg; break;
		case 'r': o->rounds = (unsigned)atoi(optarg); break;
		case 's': o->seconds = atof(optarg); break;
		case 'l': o->list = true; break;
		default: exit(2);
		}
	}
	if (o->rounds > BENCH_ROUNDS_MAX)
		o->rounds = BENCH_ROUNDS_MAX;
}

int main(int argc, char **argv)
{
	static struct bench_case cases[CASES_MAX];
	struct options o = { 0 };
	struct rlimit files;
	FILE *json = NULL;
	unsigned n;

	bench_options(&o, argc, argv);
	n = cases_all(cases, CASES_MAX, o.quick);
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (o.json && !o.list) {
		json = fopen(o.json, "w");
		if (!json)
			bench_die("%s: %s", o.json, strerror(errno));
		json_open(json);
	}
	if (!o.list) {
		ends_start(o.dir);
		library_start();
	}
	for (unsigned i = 0; i < n; i++) {
		if (o.only && !strstr(cases[i].name, o.only))
			continue;
		if (o.list)
			puts(cases[i].name);
		else
			bench_case_run(&cases[i], &o, json);
	}
	if (json) {
		json_close(json);
		if (fclose(json) != 0)
			bench_die("%s: %s", o.json, strerror(errno));
	}
	if (!o.list) {
		library_stop();
		ends_stop();
	}
	return 0;
}
