/* SPDX-License-Identifier: MIT */
/*
 * The oracle as a program: decant-check-core FILE...  One line for each, and
 * status 1 when one is wrong.
 */
#include <inttypes.h>
#include <stdio.h>

#include "lib/oracle.h"

int main(int argc, char **argv)
{
	struct oracle o;
	int i, bad = argc < 2;

	for (i = 1; i < argc; i++) {
		bool good = oracle_check_file(argv[i], &o);

		printf("%s: %s pages %" PRIu64 " torn %" PRIu64 " missing %" PRIu64 " threads %"
		       PRIu64 " registers %" PRIu64 " between %" PRIu64 " wrong %" PRIu64
		       " churned %" PRIu64 "%s%s\n", argv[i], good ? "good" : "BAD", o.pages,
		       o.torn, o.missing, o.threads, o.registers, o.between, o.wrong, o.churned,
		       good ? "" : ": ", o.what);
		bad |= !good;
	}
	return bad;
}
