/* SPDX-License-Identifier: MIT */
#include "run_options.h"

#include <errno.h>
#include <string.h>

#include "decant.h"

#define AT(member) OPTION_AT(run_options, member)

/* As enum decant_mechanism. */
static const char *const run_mechanisms[] = { "auto", "trace", "notify", "preload", NULL };

const struct option_row run_option_rows[] = {
	{ 0, "policy", "POLICY", false, OPTION_TEXT, AT(policy), NULL, 0,
	  "words with commas: legacy, warn, copy-v1, copy-v2 or deny; nowait=ideal or "
	  "nowait=kernel; stable; audit" },
	{ 0, "mechanism", "HOW", false, OPTION_CHOICE, AT(mechanism), run_mechanisms, 0,
	  "how: auto, trace, notify or preload (default auto, by need)" },
	{ 0, "report", "FILE", false, OPTION_TEXT, AT(report), NULL, 0,
	  "where the report goes; - is standard error (default there with warn and audit, else "
	  "none)" },
	{ 0, "json", NULL, false, OPTION_FLAG, AT(json), NULL, 0,
	  "write the report as JSON" },
	{ 0, "criu", NULL, false, OPTION_FLAG, AT(criu), NULL, 0,
	  "CMD is criu: catch what it does inside a process that runs under notify" },
	OPTION_ROW_HELP,
};

const size_t run_option_rows_n = sizeof(run_option_rows) / sizeof(run_option_rows[0]);

/* Where "--" is; argc: it is not there. */
static int run_dashes(int argc, char *const *argv)
{
	int i = 1;

	while (i < argc && strcmp(argv[i], "--") != 0)
		i++;
	return i;
}

/* Whether word is one of policy's. */
static bool run_says(const char *policy, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = policy; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, word, len) == 0 && (at[len] == '\0' || at[len] == ','))
			return true;
	}
	return false;
}

int run_options_parse(struct run_options *ret, int argc, char *const *argv, struct err *reterr)
{
	int dashes = run_dashes(argc, argv);
	struct run_options o = { 0 };
	const char *words[1] = { NULL };
	int r = options_parse(run_option_rows, run_option_rows_n, dashes, argv, &o, words, 1,
			      reterr);

	/* As one writes it for strace(1) and its like. */
	if (words[0])
		return err_set(reterr, -EINVAL, "%.60s: a program and its words come after --, as "
			       "in `decant run --policy=audit -- CMD`", words[0]);
	if (r < 0)
		return r;
	if (!o.help && dashes >= argc - 1)
		return err_set(reterr, -EINVAL, "no program: it comes after --, as in "
			       "`decant run --policy=audit -- CMD`");
	if (!o.help && !o.policy)
		return err_set(reterr, -EINVAL, "--policy: must be given");
	if (!o.help && !o.report && (run_says(o.policy, "audit") || run_says(o.policy, "warn")))
		o.report = "-";
	if (o.json && !o.report && !o.help)
		return err_set(reterr, -EINVAL, "--json: only with --report, or audit or warn");
	if (o.criu && o.mechanism != DECANT_MECHANISM_AUTO &&
	    o.mechanism != DECANT_MECHANISM_PRELOAD && !o.help)
		return err_set(reterr, -EINVAL, "--criu: only with --mechanism=preload, for criu "
			       "itself can carry no filter");
	o.command = argv + dashes + (dashes < argc);
	*ret = o;
	return 0;
}
