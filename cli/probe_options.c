/* SPDX-License-Identifier: MIT */
#include "probe_options.h"

#include <errno.h>

#define PROBE_SECONDS_MAX 600
#define AT(member) OPTION_AT(probe_options, member)

const struct option_row probe_option_rows[] = {
	{ 0, "calibrate", NULL, false, OPTION_FLAG, AT(calibrate), NULL, 0,
	  "measure what each route costs here, and keep it for the planner" },
	{ 0, "seconds", "N", false, OPTION_NUMBER, AT(seconds), NULL, 0,
	  "how long that may take (default 5)" },
	{ 0, "dir", "DIR", false, OPTION_TEXT, AT(dir), NULL, 0,
	  "where its scratch files go (default $TMPDIR or /tmp)" },
	{ 0, "mask", "FACTS", false, OPTION_TEXT, AT(mask), NULL, 0,
	  "do as if the kernel lacked these facts: names with commas" },
	{ 0, "json", NULL, false, OPTION_FLAG, AT(json), NULL, 0,
	  "print the facts as JSON" },
	OPTION_ROW_HELP,
};

const size_t probe_option_rows_n = sizeof(probe_option_rows) / sizeof(probe_option_rows[0]);

int probe_options_parse(struct probe_options *ret, int argc, char *const *argv,
			struct err *reterr)
{
	struct probe_options o = { 0 };
	const char *none[1];
	int r = options_parse(probe_option_rows, probe_option_rows_n, argc, argv, &o, none, 0,
			      reterr);

	if (r < 0)
		return r;
	if (!o.calibrate && !o.help && (o.seconds || o.dir))
		return err_set(reterr, -EINVAL, "--%s: only with --calibrate",
			       o.seconds ? "seconds" : "dir");
	if (o.seconds > PROBE_SECONDS_MAX)
		return err_set(reterr, -EINVAL, "--seconds: %d at most", PROBE_SECONDS_MAX);
	*ret = o;
	return 0;
}
