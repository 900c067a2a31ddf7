/* SPDX-License-Identifier: MIT */
/*
 * The command line of decant images.  Not what is done with it: cmd_images.c.
 */
#ifndef CLI_IMAGES_OPTIONS_H
#define CLI_IMAGES_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "options.h"

enum images_action {
	IMAGES_SHOW, IMAGES_CHECK, IMAGES_FLATTEN, IMAGES_CORE, IMAGES_DIFF,
};

struct images_options {
	const char *dir, *other;  /* other: of diff */
	enum images_action action;
	const char *output;
	uint32_t pid;             /* 0: the only one that has a note file */
	bool ranges, force, sync, json, quiet, help;
};

extern const struct option_row images_option_rows[];
extern const size_t images_option_rows_n;

int images_options_parse(struct images_options *ret, int argc, char *const *argv,
			 struct err *reterr);
void images_options_help(void);

#endif
