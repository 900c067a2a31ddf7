/* SPDX-License-Identifier: MIT */
/* decant probe: what this kernel and machine can do. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "decant.h"
#include "json_line.h"
#include "probe_options.h"
#include "text.h"

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

static int probe_run(struct decant *d, const struct probe_options *o)
{
	struct decant_fact *facts;
	int n, r, status;

	if (o->calibrate) {
		unsigned seconds = o->seconds ? o->seconds : PROBE_SECONDS_DEFAULT;

		(void)fprintf(stderr, "decant: measuring for about %u s\n", seconds);
		r = decant_calibrate(d, NULL, o->dir, seconds);
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
