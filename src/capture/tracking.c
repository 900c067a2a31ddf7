/* SPDX-License-Identifier: MIT */
/* Which way of tracking, and its beginning: in a stop of its own where it takes one. */
#include <errno.h>

#include "capture/capture.h"
#include "capture/look.h"

int capture_track_kind(struct capture *c, uint32_t wanted, const char *who,
		       enum track_kind *ret)
{
	enum track_kind kind = wanted == DECANT_TRACK_SOFT_DIRTY ? TRACK_SOFT_DIRTY :
							       track_best(c->caps);

	if (kind == TRACK_NONE || (wanted == DECANT_TRACK_WP && kind != TRACK_WP))
		return err_set(&c->err, -ENOTSUP, "%s: %s", who, look_no_track);
	if (kind == TRACK_SOFT_DIRTY && !caps_has(c->caps, FACT_SOFT_DIRTY))
		return err_set(&c->err, -ENOTSUP, "%s: this kernel has no soft-dirty bits", who);
	*ret = kind;
	return 0;
}

static int tracking_stopped(struct capture *c)
{
	return track_open(&c->track, TRACK_WP, c->t, c->call, &c->err);
}

int capture_track(struct capture *c, enum track_kind kind)
{
	int r = kind == TRACK_SOFT_DIRTY ? track_open(&c->track, kind, c->t, NULL, &c->err) :
					   capture_call(c, tracking_stopped);

	return r < 0 && !c->err.text[0] ? capture_fail(c, r, "tracking") : r;
}
