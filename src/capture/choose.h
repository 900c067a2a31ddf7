/* SPDX-License-Identifier: MIT */
/*
 * The choice of a strategy for a capture, and of another one when rounds do not
 * end.  Not the arithmetic behind it: that is forecast.h.
 */
#ifndef CAPTURE_CHOOSE_H
#define CAPTURE_CHOOSE_H

#include "capture/capture.h"

/* -E2BIG: nothing meets the bound; -ENOTSUP: what was asked for cannot be. */
int capture_choose(struct capture *c, uint32_t *ret);
/* Rounds did not end: a shadow, if it may be one; its image is read, too. */
int capture_diverged(struct capture *c);

#endif
