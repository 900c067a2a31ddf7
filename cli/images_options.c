/* SPDX-License-Identifier: MIT */
#include "images_options.h"

#include <errno.h>
#include <string.h>


#define AT(member) OPTION_AT(images_options, member)

static const char *const images_actions[] = { "show", "check", "flatten", "core", "diff", NULL };

const struct option_row images_option_rows[] = {
	{ 'o', "output", "PATH", false, OPTION_TEXT, AT(output), NULL, 0,
	  "flatten: the new directory (default: in the place of DIR); core: the new file "
	  "(default core.PID)" },
	{ 'p', "pid", "PID", false, OPTION_NUMBER, AT(pid), NULL, 0,
	  "core: of which process, where there are several" },
	{ 'r', "ranges", NULL, false, OPTION_FLAG, AT(ranges), NULL, 0,
	  "show, diff: every range of pages, too" },
	{ 'f', "force", NULL, false, OPTION_FLAG, AT(force), NULL, 0,
	  "flatten: remove what a killed run left in the new directory; core: replace a file "
	  "that exists" },
	{ 0, "sync", NULL, false, OPTION_FLAG, AT(sync), NULL, 0,
	  "flatten, core: end when all is on the disk" },
	OPTION_ROW_JSON,
	OPTION_ROW_QUIET,
	OPTION_ROW_HELP,
};

const size_t images_option_rows_n = sizeof(images_option_rows) / sizeof(images_option_rows[0]);

static int images_check_options(const struct images_options *o, struct err *e)
{
	bool makes = o->action == IMAGES_FLATTEN || o->action == IMAGES_CORE;
	const char *what = images_actions[o->action];

	if (o->output && !makes)
		return err_set(e, -EINVAL, "--output: %s makes nothing", what);
	if (o->output && !o->output[0])
		return err_set(e, -EINVAL, "--output: is empty");
	if ((o->force || o->sync) && !makes)
		return err_set(e, -EINVAL, "%s: %s makes nothing",
			       o->force ? "--force" : "--sync", what);
	if (o->force && o->action == IMAGES_FLATTEN && !o->output)
		return err_set(e, -EINVAL, "--force: goes with --output");
	if (o->pid && o->action != IMAGES_CORE)
		return err_set(e, -EINVAL, "--pid: is for core");
	if (o->ranges && o->action != IMAGES_SHOW && o->action != IMAGES_DIFF)
		return err_set(e, -EINVAL, "--ranges: is for show and diff");
	if (o->quiet && o->json)
		return err_set(e, -EINVAL, "--quiet and --json: say one of them");
	return 0;
}

/* The end of the list: none of them. */
static size_t images_action(const char *word)
{
	size_t i = IMAGES_SHOW;

	while (images_actions[i] && (!word || strcmp(images_actions[i], word) != 0))
		i++;
	return i;
}

/*
 * "show DIR" as well as "DIR show": a directory of that name is meant only
 * where an action comes after it.
 */
static void images_verb_first(const char *operands[3])
{
	const char *verb = operands[0];

	if (operands[1] && images_actions[images_action(verb)] &&
	    !images_actions[images_action(operands[1])]) {
		operands[0] = operands[1];
		operands[1] = verb;
	}
}

int images_options_parse(struct images_options *ret, int argc, char *const *argv,
			 struct err *reterr)
{
	const char *operands[3] = { NULL, NULL, NULL };
	struct images_options o = { .action = IMAGES_SHOW };
	size_t i = 0;
	int n = options_parse(images_option_rows, images_option_rows_n, argc, argv, &o, operands,
			      3, reterr);

	if (n < 0)
		return n;
	*ret = o;
	if (o.help)
		return 0;
	if (n == 0 || !operands[0][0])
		return err_set(reterr, -EINVAL, "DIR is missing");
	images_verb_first(operands);
	o.dir = operands[0];
	if (operands[1])
		i = images_action(operands[1]);
	if (!images_actions[i])
		return err_set(reterr, -EINVAL, "'%.40s': is none of show, check, flatten, core, "
			       "diff", operands[1]);
	o.action = (enum images_action)i;
	if ((o.action == IMAGES_DIFF) != (operands[2] != NULL))
		return err_set(reterr, -EINVAL, o.action == IMAGES_DIFF ?
			       "diff: the other directory is missing" :
			       "%.40s: one word too many", operands[2] ? operands[2] : "");
	o.other = operands[2];
	*ret = o;
	return images_check_options(&o, reterr);
}

void images_options_help(void)
{
	(void)printf("Usage: decant images DIR [show | check | flatten | core] [OPTION]...\n"
		     "       decant images DIR diff DIR2 [OPTION]...\n\n"
		     "Show, check, merge or compare directories of CRIU memory images and their\n"
		     "chains of parents, or make an ELF core of a final one.\n\n"
		     "Options:\n");
	options_help(stdout, images_option_rows, images_option_rows_n);
	(void)printf("\nSee decant-images(1).\n");
}
