/* SPDX-License-Identifier: MIT */
/* Small helpers around the table of routes. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "route/route.h"

const struct route *route_by_name(const char *name)
{
	for (unsigned i = 0; i < route_table_n; i++)
		if (!strcmp(route_table[i]->ops.name, name))
			return route_table[i];
	return NULL;
}

bool route_takes(const struct route *r, enum decant_end_kind from, enum decant_end_kind to)
{
	return (r->from_kinds & ROUTE_KIND(from)) && (r->to_kinds & ROUTE_KIND(to));
}

bool route_refuse(struct fit *fit, const char *fmt, ...)
{
	va_list ap;

	if (fit->quiet)
		return false;
	va_start(ap, fmt);
	(void)vsnprintf(fit->why_not, sizeof(fit->why_not), fmt, ap);
	va_end(ap);
	return false;
}

bool route_note(struct fit *fit, const char *fmt, ...)
{
	va_list ap;

	if (fit->quiet)
		return true;
	va_start(ap, fmt);
	(void)vsnprintf(fit->note, sizeof(fit->note), fmt, ap);
	va_end(ap);
	return true;
}
