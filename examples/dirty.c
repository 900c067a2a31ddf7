/* SPDX-License-Identifier: MIT */
/* dirty PID: what a process writes in five seconds, and whether a capture would stop it long. */
#include <decant.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int say(const struct decant *d)
{
	(void)fprintf(stderr, "%s\n", decant_strerror(d));
	return 1;
}

static int watch(struct decant *d, struct decant_dirty *dirty)
{
	struct decant_dirty_plan plan = DECANT_DIRTY_PLAN_INIT;

	for (int second = 0; second < 5; second++) {
		struct decant_dirty_interval i = DECANT_DIRTY_INTERVAL_INIT;

		(void)sleep(1);
		if (decant_dirty_next(dirty, &i) < 0)
			return say(d);
		(void)printf("%llu pages\n", (unsigned long long)i.pages);
		for (size_t k = 0; k < i.mappings_n; k++)
			if (i.mappings[k].pages)
				(void)printf("  %8llu %s\n",
					     (unsigned long long)i.mappings[k].pages,
					     i.mappings[k].name);
	}
	if (decant_dirty_plan(dirty, &plan) < 0)
		return say(d);
	(void)printf("precopy would stop it for %.1f ms, after %u rounds\n",
		     (double)plan.forecasts[0].pause_ns / 1e6, plan.forecasts[0].rounds);
	return 0;
}

int main(int argc, char **argv)
{
	struct decant_target *target = NULL;
	struct decant_dirty *dirty = NULL;
	struct decant *d;
	int status;

	if (argc != 2 || decant_open(&d, NULL) < 0)
		return 2;
	if (decant_target_open(d, &target, atoi(argv[1])) < 0 ||
	    decant_dirty_begin(d, &dirty, target, NULL, NULL) < 0)
		status = say(d);
	else
		status = watch(d, dirty);
	decant_dirty_end(dirty);
	decant_target_close(target);
	decant_close(d);
	return status;
}
