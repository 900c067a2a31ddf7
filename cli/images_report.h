/* SPDX-License-Identifier: MIT */
/*
 * What decant images prints, for people and as JSON.  Written as it comes, so
 * that memory does not depend on how many pages and faults there are.
 */
#ifndef CLI_IMAGES_REPORT_H
#define CLI_IMAGES_REPORT_H

#include "decant.h"
#include "images_options.h"

/* All: 0 or a negative errno of the library, whose sentence is in decant_strerror(). */
int images_show(struct decant_images *i, const struct images_options *o);
/* *ret_faults: what is wrong, without notices. */
int images_check(struct decant_images *i, const struct images_options *o, int64_t *ret_faults);
/* *ret_pages: pages that are not the same in both. */
int images_diff(struct decant_images *a, struct decant_images *b, const struct images_options *o,
		uint64_t *ret_pages);
/* flatten and core */
void images_made(const struct images_options *o, const char *output,
		 const struct decant_images_report *r, uint64_t took_ns);

#endif
