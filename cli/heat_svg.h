/* SPDX-License-Identifier: MIT */
/*
 * A heat map as an SVG picture: time from left to right, addresses downward
 * without the holes between mappings.  Pure: writes into memory only.
 */
#ifndef CLI_HEAT_SVG_H
#define CLI_HEAT_SVG_H

#include "base/buf.h"
#include "heat.h"

/*
 * title: what was looked at; note: a line about it.  Both are escaped here.
 * -ENOMEM.
 */
int heat_svg(const struct heat *h, const char *title, const char *note, struct buf *ret);

#endif
