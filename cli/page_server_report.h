/* SPDX-License-Identifier: MIT */
/*
 * What decant page-server tells, for people or as JSON: of where it listens, of
 * each connection, of all.  A line each, at once.
 */
#ifndef CLI_PAGE_SERVER_REPORT_H
#define CLI_PAGE_SERVER_REPORT_H

#include "decant.h"
#include "page_server_options.h"

void page_server_tell_listening(const struct page_server_options *o, const char *name);
void page_server_tell_connection(const struct page_server_options *o,
				 const struct decant_page_connection *c);
void page_server_tell_end(const struct page_server_options *o,
			  const struct decant_page_server_report *r);

#endif
