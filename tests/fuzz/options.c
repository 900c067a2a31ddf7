/* SPDX-License-Identifier: MIT */
/* Whole command lines: a word per line, the first is the command. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "copy_options.h"
#include "core_options.h"
#include "probe_options.h"

#define WORDS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_copy(int argc, char **argv)
{
	struct copy_options o;
	struct decant_transfer t;
	struct err e = { "" };
	int r = copy_options_parse(&o, argc, argv, &e);

	if (r < 0 && (r != -EINVAL || !e.text[0]))
		abort();
	if (r < 0 || o.help || (o.route && strcmp(o.route, "help") == 0))
		return;
	copy_options_transfer(&o, &t);
	if (t.checksum > DECANT_CHECKSUM_SHA256 || t.until > DECANT_UNTIL_SENT)
		abort();
	if (o.offset != COPY_NOT_SAID && t.len != DECANT_TO_END && o.offset > INT64_MAX - t.len)
		abort();
	if (o.mode != OPTION_MODE_KEEP && o.mode != COPY_MODE_DEFAULT && o.mode > 0777)
		abort();
}

static void run_probe(int argc, char **argv)
{
	struct probe_options o;
	struct err e = { "" };
	int r = probe_options_parse(&o, argc, argv, &e);

	if (r < 0 && (r != -EINVAL || !e.text[0]))
		abort();
}

static void run_core(int argc, char **argv)
{
	struct decant_capture_options c;
	struct core_options o;
	struct err e = { "" };
	int r = core_options_parse(&o, argc, argv, &e);

	if (r < 0 && (r != -EINVAL || !e.text[0]))
		abort();
	if (r < 0 || o.help)
		return;
	core_options_capture(&o, &c);
	if (o.pid <= 0 || c.strategy > DECANT_STRATEGY_STOP || c.filter > 0x1ff || !o.to.text)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *next = text;
	char *argv[WORDS_MAX + 1] = { NULL };
	int argc = 0;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	while (next && argc < WORDS_MAX)
		argv[argc++] = strsep(&next, "\n");
	if (strcmp(argv[0], "probe") == 0)
		run_probe(argc, argv);
	else if (strcmp(argv[0], "core") == 0)
		run_core(argc, argv);
	else
		run_copy(argc, argv);
	free(text);
	return 0;
}
