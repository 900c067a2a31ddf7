/* SPDX-License-Identifier: MIT */
/* decant_calibrate(): one pair of ends after the other, and the file. */
#include <errno.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/measure.h"
#include "sys/sys.h"

/* What matters most comes first: the time may not be enough for all. */
static const struct {
	enum cost_from from;
	enum cost_to to;
} calibrate_pairs[] = {
	{ COST_FROM_FILE, COST_TO_TCP_LOCAL },
	{ COST_FROM_FILE, COST_TO_FILE },
	{ COST_FROM_FILE, COST_TO_PIPE },
	{ COST_FROM_FILE, COST_TO_UNIX },
	{ COST_FROM_MEMORY, COST_TO_TCP_LOCAL },
	{ COST_FROM_MEMORY, COST_TO_FILE },
	{ COST_FROM_MEMORY, COST_TO_PIPE },
	{ COST_FROM_MEMORY, COST_TO_UNIX },
	{ COST_FROM_SOCKET, COST_TO_FILE },
	{ COST_FROM_PIPE, COST_TO_FILE },
	{ COST_FROM_PIPE, COST_TO_TCP_LOCAL },
	{ COST_FROM_PIPE, COST_TO_UNIX },
	{ COST_FROM_PIPE, COST_TO_PIPE },
	{ COST_FROM_SOCKET, COST_TO_PIPE },
	{ COST_FROM_SOCKET, COST_TO_TCP_LOCAL },
	{ COST_FROM_FILE, COST_TO_NULL },
	{ COST_FROM_FILE, COST_TO_MEMORY },
	{ COST_FROM_PROCESS, COST_TO_FILE },
	{ COST_FROM_PROCESS, COST_TO_TCP_LOCAL },
	{ COST_FROM_PROCESS, COST_TO_PIPE },
	{ COST_FROM_PIPE, COST_TO_NULL },
	{ COST_FROM_SOCKET, COST_TO_NULL },
	{ COST_FROM_PIPE, COST_TO_MEMORY },
	{ COST_FROM_SOCKET, COST_TO_MEMORY },
	{ COST_FROM_MEMORY, COST_TO_NULL },
};
#define CALIBRATE_PAIRS (sizeof(calibrate_pairs) / sizeof(calibrate_pairs[0]))

static const char *calibrate_dir(void)
{
	const char *tmp = secure_getenv("TMPDIR");

	return tmp && tmp[0] == '/' ? tmp : "/tmp";
}

static int calibrate_all(struct decant *d, struct cost_table *costs, const char *dir,
			 unsigned seconds_max)
{
	uint64_t now = sys_clock_ns(), end = now + seconds_max * 1000000000ull;
	unsigned i;
	int r = 0;

	for (i = 0; i < CALIBRATE_PAIRS && now < end && r == 0; i++) {
		r = measure_pair(d, costs, calibrate_pairs[i].from, calibrate_pairs[i].to, dir,
				 now + (end - now) / (CALIBRATE_PAIRS - i));
		now = sys_clock_ns();
	}
	return r;
}

int decant_calibrate(struct decant *d, const char *path, const char *dir, unsigned seconds_max)
{
	_cleanup_free_ struct cost_table *measured = NULL;
	char own_path[COST_PATH_MAX];
	int r;

	if (!d)
		return -EINVAL;
	if (seconds_max == 0)
		return err_set(&d->err, -EINVAL, "calibration: 0 seconds are not enough");
	if (!path) {
		r = cost_path(own_path, &d->err);
		if (r < 0)
			return r;
		path = own_path;
	}
	measured = sys_malloc(sizeof(*measured));
	if (!measured)
		return err_set(&d->err, -ENOMEM, "calibration: no memory");
	*measured = d->costs;
	if (!dir)
		dir = calibrate_dir();
	r = calibrate_all(d, measured, dir, seconds_max);
	if (r < 0)
		return err_errno(&d->err, r, "calibration with scratch files in %s", dir);
	d->costs = *measured;
	return cost_save(measured, path, &d->err);
}
