/* SPDX-License-Identifier: MIT */
/*
 * What fio gets from the same disk with sequential jobs, several of them, of
 * which the best counts.  A copy is compared with a job that reads one file and
 * one that writes another at the same time: the disk has the same to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

struct fio_job {
	const char *name;
	const char *engine, *bs, *depth;
	bool direct;
	bool memory; /* has as much memory to write from as we have */
};

static const struct fio_job fio_jobs[] = {
	{ "fio psync 1 MiB", "psync", "1m", "1", false, false },
	{ "fio direct 1 MiB", "psync", "1m", "1", true, false },
	{ "fio direct 1 MiB x 8", "io_uring", "1m", "8", true, false },
	{ "fio direct 4 MiB x 4", "io_uring", "4m", "4", true, false },
	{ "fio direct 4 MiB x 32", "io_uring", "4m", "32", true, false },
	{ "fio direct 4 MiB x 256", "io_uring", "4m", "256", true, true },
};

/* Terse version 3: KiB/s at 7 and 48, ms at 9 and 50, CPU % at 88 and 89. */
static void fio_line(char *line, double *seconds, double *cpu_s)
{
	double field[90] = { 0 }, ms;
	unsigned i = 0;

	for (char *p; i < 90 && (p = strsep(&line, ";")); i++)
		field[i] = atof(p);
	if (i < 90)
		return;
	ms = field[8] > field[49] ? field[8] : field[49];
	if (ms / 1000 > *seconds)
		*seconds = ms / 1000;
	*cpu_s += ms / 1000 * (field[87] + field[88]) / 100;
}

static int fio_run(struct setting *s, const struct mover *m, struct sample *ret)
{
	const struct fio_job *j = m->arg;
	const struct bench_case *c = s->c;
	char opt[9][300], out_path[300], line[4096];
	/* It leaves files in its directory. */
	const char *argv[24] = { "env", "-C", s->scratch, "fio", "--output-format=terse",
				 "--terse-version=3", "--fallocate=none", "--thread" };
	unsigned n = 8;
	double cpu;
	FILE *f;
	int r;

	snprintf(opt[0], sizeof(opt[0]), "--ioengine=%s", j->engine);
	snprintf(opt[1], sizeof(opt[1]), "--bs=%s", j->bs);
	snprintf(opt[2], sizeof(opt[2]), "--iodepth=%s", j->depth);
	snprintf(opt[3], sizeof(opt[3]), "--size=%llu", (unsigned long long)c->piece);
	snprintf(opt[4], sizeof(opt[4]), "--direct=%d", j->direct);
	snprintf(opt[5], sizeof(opt[5]), "--end_fsync=%d", c->durable);
	snprintf(opt[6], sizeof(opt[6]), "--exec_prerun=kill -USR1 %d", (int)getpid());
	for (unsigned i = 0; i < 7; i++)
		argv[n++] = opt[i];
	argv[n++] = "--name=write";
	argv[n++] = "--rw=write";
	snprintf(opt[7], sizeof(opt[7]), "--filename=%s", s->to_path);
	argv[n++] = opt[7];
	if (!c->from_memory) {
		snprintf(opt[8], sizeof(opt[8]), "--filename=%s", s->paths[0]);
		argv[n++] = "--name=read";
		argv[n++] = "--rw=read";
		argv[n++] = opt[8];
	}
	snprintf(out_path, sizeof(out_path), "%s/fio", s->scratch);
	f = fopen(out_path, "w+");
	if (!f)
		return -errno;
	r = program_run(argv, -1, fileno(f), &cpu);
	rewind(f);
	while (fgets(line, sizeof(line), f))
		fio_line(line, &ret->seconds, &ret->cpu_s);
	fclose(f);
	unlink(out_path);
	snprintf(out_path, sizeof(out_path), "%s/write.prerun.txt", s->scratch);
	unlink(out_path);
	snprintf(out_path, sizeof(out_path), "%s/read.prerun.txt", s->scratch);
	unlink(out_path);
	return r < 0 || ret->seconds > 0 ? r : -EIO;
}

void fio_add(struct movers *ms, const struct setting *s)
{
	if (s->c->to != SINK_FILE || access("/usr/bin/fio", X_OK) != 0)
		return;
	for (size_t i = 0; i < sizeof(fio_jobs) / sizeof(fio_jobs[0]); i++) {
		struct mover *m;

		if ((s->c->direct && !fio_jobs[i].direct) ||
		    (fio_jobs[i].memory && !s->c->from_memory))
			continue;
		m = movers_new(ms, "disk", fio_jobs[i].name);
		m->run = fio_run;
		m->arg = &fio_jobs[i];
		m->own_time = m->slow_start = true;
	}
}
