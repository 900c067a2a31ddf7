/* SPDX-License-Identifier: MIT */
/* decant probe: what this kernel and machine can do. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli.h"
#include "decant.h"
#include "json_line.h"
#include "probe_options.h"
#include "text.h"
#include "wait.h"

#define PROBE_FACTS_MAX 128
#define PROBE_SECONDS_DEFAULT 5
#define PROBE_COLUMNS 4

static const char *probe_state(const struct decant_fact *f)
{
	return f->state == DECANT_YES ? "yes" : f->state == DECANT_NO ? "no" : "unknown";
}

static void probe_json(const struct decant_fact *facts, size_t n)
{
	struct json j = JSON_INIT;

	json_object(&j);
	json_member_string(&j, "version", decant_version());
	json_key(&j, "facts");
	json_array(&j);
	for (size_t i = 0; i < n; i++) {
		json_object(&j);
		json_member_string(&j, "name", facts[i].name);
		json_member_string(&j, "state", probe_state(&facts[i]));
		json_member_bool(&j, "masked", facts[i].masked);
		json_member_u64(&j, "value", facts[i].value);
		json_member_string(&j, "why", facts[i].why);
		json_member_string(&j, "what", facts[i].what);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	json_line_print(stdout, &j);
}

/* Nothing where the fact has none. */
static void probe_value(char buf[24], const struct decant_fact *f)
{
	if (f->value == UINT64_MAX)
		(void)snprintf(buf, 24, "no limit");
	else if (f->value)
		(void)snprintf(buf, 24, "%" PRIu64, f->value);
	else
		buf[0] = '\0';
}

static int probe_table(const struct decant_fact *facts, size_t n)
{
	static const struct text_cell head[PROBE_COLUMNS] = {
		{ "FACT", TEXT_BOLD }, { "HERE", TEXT_BOLD }, { "VALUE", TEXT_BOLD },
		{ "WHY", TEXT_PLAIN },
	};
	struct text_cell *cells = calloc((n + 1) * PROBE_COLUMNS, sizeof(*cells));
	char (*values)[24] = calloc(n + 1, sizeof(*values));

	if (!cells || !values) {
		free(cells);
		free(values);
		cli_error("probe: out of memory");
		return CLI_FAILED;
	}
	for (size_t i = 0; i < PROBE_COLUMNS; i++)
		cells[i] = head[i];
	for (size_t i = 0; i < n; i++) {
		const struct decant_fact *f = &facts[i];
		struct text_cell *row = cells + (i + 1) * PROBE_COLUMNS;

		probe_value(values[i], f);
		row[0] = (struct text_cell){ f->name, TEXT_PLAIN };
		row[1] = (struct text_cell){
			probe_state(f), f->state == DECANT_YES ? TEXT_GOOD :
					f->state == DECANT_NO ? TEXT_BAD : TEXT_DOUBT,
		};
		row[2] = (struct text_cell){ values[i], TEXT_PLAIN };
		row[3] = (struct text_cell){ f->why, TEXT_PLAIN };
	}
	text_table(stdout, cells, n + 1, PROBE_COLUMNS, 0, 1u << 2);
	free(cells);
	free(values);
	return CLI_OK;
}

/* ------------------------------------------------------------- calibration */

struct probe_guard {
	struct waiter w;
	char dir[PATH_MAX];      /* ours, with the files that are measured with */
	int end_fd;              /* readable: nothing is to be guarded any more */
	pthread_t thread;
};

static void probe_sweep(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		(void)unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		(void)closedir(dir);
	(void)rmdir(path);
}

/* The library measures on and on: a signal takes its files away, and ends us. */
static void *probe_wait(void *arg)
{
	struct probe_guard *g = arg;

	if (waiter_fd(&g->w, g->end_fd, POLLIN, 0) != -ECANCELED)
		return NULL;
	probe_sweep(g->dir);
	cli_error("interrupted: nothing was kept");
	_exit(CLI_SIGNAL + g->w.signal);
}

static int probe_calibrate(struct decant *d, const struct probe_options *o)
{
	struct probe_guard g = { .w = { .signal_fd = -1 }, .end_fd = eventfd(0, EFD_CLOEXEC) };
	unsigned seconds = o->seconds ? o->seconds : PROBE_SECONDS_DEFAULT;
	const char *tmp = getenv("TMPDIR");
	bool guarded;
	int r;

	(void)snprintf(g.dir, sizeof(g.dir), "%s/decant-probe-XXXXXX",
		       o->dir ? o->dir : tmp && tmp[0] ? tmp : "/tmp");
	guarded = g.end_fd >= 0 && mkdtemp(g.dir);
	if (guarded && (waiter_open(&g.w) < 0 ||
			pthread_create(&g.thread, NULL, probe_wait, &g) != 0)) {
		(void)rmdir(g.dir);
		guarded = false;
	}
	(void)fprintf(stderr, "decant: measuring for about %u s\n", seconds);
	/* What is wrong with the directory is said by the library. */
	r = decant_calibrate(d, NULL, guarded ? g.dir : o->dir, seconds);
	if (guarded) {
		(void)eventfd_write(g.end_fd, 1);
		(void)pthread_join(g.thread, NULL);
		probe_sweep(g.dir);
	}
	waiter_close(&g.w);
	if (g.end_fd >= 0)
		(void)close(g.end_fd);
	return r;
}

static int probe_run(struct decant *d, const struct probe_options *o)
{
	struct decant_fact *facts;
	int n, r, status;

	if (o->calibrate) {
		r = probe_calibrate(d, o);
		if (r < 0) {
			cli_error("%s", decant_strerror(d));
			cli_hint(cli_advice(r));
			return CLI_FAILED;
		}
		(void)fprintf(stderr, "decant: measured; plans use it from now on\n");
	}
	facts = calloc(PROBE_FACTS_MAX, sizeof(*facts));
	n = facts ? decant_facts(d, facts, PROBE_FACTS_MAX) : -ENOMEM;
	if (n < 0) {
		cli_error("%s", facts ? decant_strerror(d) : "probe: out of memory");
		free(facts);
		return CLI_FAILED;
	}
	if (n > PROBE_FACTS_MAX)
		n = PROBE_FACTS_MAX;
	status = CLI_OK;
	if (o->json)
		probe_json(facts, (size_t)n);
	else
		status = probe_table(facts, (size_t)n);
	free(facts);
	return status;
}

static void probe_help(void)
{
	(void)printf("Usage: decant probe [OPTION]...\n\n"
		     "Show what this kernel and machine can do, each fact found out by trying.\n\n"
		     "Options:\n");
	options_help(stdout, probe_option_rows, probe_option_rows_n);
	(void)printf("\nSee decant-probe(1).\n");
}

int cmd_probe(int argc, char **argv)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct probe_options o;
	struct err e = { "" };
	struct decant *d;
	int r, status;

	if (probe_options_parse(&o, argc, argv, &e) < 0)
		return cli_usage("probe", "%s", e.text);
	if (o.help) {
		probe_help();
		return CLI_OK;
	}
	if (!cli_mask_ok(o.mask))
		return CLI_USAGE;
	options.mask = o.mask;
	r = decant_open(&d, &options);
	if (r < 0) {
		cli_error("%s", decant_strerror(NULL));
		return CLI_FAILED;
	}
	status = probe_run(d, &o);
	decant_close(d);
	return status;
}
