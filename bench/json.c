/* SPDX-License-Identifier: MIT */
/* The file of what was measured: every sample, nothing summed up. */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static bool json_first;

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		if ((unsigned char)*s >= ' ')
			fputc(*s, f);
	}
	fputc('"', f);
}

static void json_field(FILE *f, const char *name, const char *value)
{
	fprintf(f, "\"%s\": ", name);
	json_string(f, value);
	fputs(", ", f);
}

static void json_cpu_model(char *ret, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256], *p;

	snprintf(ret, size, "unknown CPU");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "model name", 10) != 0 || !(p = strchr(line, ':')))
			continue;
		snprintf(ret, size, "%.*s", (int)strcspn(p + 2, "\n"), p + 2);
		break;
	}
	if (f)
		fclose(f);
}

void json_open(FILE *f)
{
	struct utsname u;
	time_t now = time(NULL);
	char cpu[128], date[32];

	uname(&u);
	json_cpu_model(cpu, sizeof(cpu));
	strftime(date, sizeof(date), "%Y-%m-%d", gmtime(&now));
	fputs("{ \"machine\": { ", f);
	json_field(f, "kernel", u.release);
	json_field(f, "cpu", cpu);
	json_field(f, "decant", library_version());
	json_field(f, "date", date);
	fprintf(f, "\"cpus\": %ld, \"memory_bytes\": %lld },\n\"cases\": [",
		sysconf(_SC_NPROCESSORS_ONLN),
		(long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
	json_first = true;
}

static void json_samples(FILE *f, const struct mover *m)
{
	fputs("\"seconds\": [", f);
	for (unsigned i = 0; i < m->samples_n; i++)
		fprintf(f, "%s%.9f", i ? ", " : "", m->samples[i].seconds);
	fputs("], \"cpu\": [", f);
	for (unsigned i = 0; i < m->samples_n; i++)
		fprintf(f, "%s%.9f", i ? ", " : "", m->samples[i].cpu_s);
	fputs("], \"snapshot\": [", f);
	for (unsigned i = 0; i < m->samples_n; i++)
		fprintf(f, "%s%.9f", i ? ", " : "", m->samples[i].snapshot_s);
	fputs("]", f);
}

void json_case(FILE *f, const struct bench_case *c, const struct movers *ms)
{
	static const char *const sinks[] = { "tcp", "unix", "pipe", "file" };
	bool first = true;

	fprintf(f, "%s\n{ ", json_first ? "" : ",");
	json_first = false;
	json_field(f, "name", c->name);
	json_field(f, "from", c->from_memory ? "memory" : "file");
	json_field(f, "to", sinks[c->to]);
	fprintf(f, "\"piece\": %llu, \"at_once\": %u, \"transfers\": %u, ",
		(unsigned long long)c->piece, c->at_once, case_transfers(c));
	fprintf(f, "\"cold\": %d, \"tmpfs\": %d, \"sleeping\": %d, \"durable\": %d,\n", c->cold,
		c->tmpfs, c->sleeping, c->durable);
	fputs("  \"movers\": [", f);
	for (unsigned i = 0; i < ms->n; i++) {
		const struct mover *m = &ms->m[i];

		if (m->samples_n == 0)
			continue;
		fprintf(f, "%s\n    { ", first ? "" : ",");
		first = false;
		json_field(f, "name", m->name);
		json_field(f, "kind", m->kind);
		json_field(f, "route", m->samples[m->samples_n - 1].route);
		json_samples(f, m);
		fputs(" }", f);
	}
	fputs("\n  ] }", f);
	fflush(f);
}

void json_close(FILE *f)
{
	fputs("\n] }\n", f);
}
