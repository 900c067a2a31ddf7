/* SPDX-License-Identifier: MIT */
/* The command line of decant page-server.  Not what is done with it: cmd_page_server.c. */
#ifndef CLI_PAGE_SERVER_OPTIONS_H
#define CLI_PAGE_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "decant.h"
#include "options.h"

#define PAGE_SERVER_HOST_MAX 255

struct page_server_options {
	const char *dir, *listen, *parent;
	char host[PAGE_SERVER_HOST_MAX + 1]; /* of listen, without brackets; "": loopback */
	uint16_t port;             /* 0: any */
	const char *tls_cert, *tls_key, *tls_ca, *tls_crl;
	uint32_t connections;      /* 0: not said */
	uint64_t timeout_ns, limit_bytes;
	const char *mask;
	bool insecure, once, chain, clean, sync, discard, json, quiet, verbose, help;
};

extern const struct option_row page_server_option_rows[];
extern const size_t page_server_option_rows_n;

/*
 * Parse a whole command line.  0; -EINVAL with a sentence.  With help set
 * nothing else is.  Pure.
 */
int page_server_options_parse(struct page_server_options *ret, int argc, char *const *argv,
			      struct err *reterr);
/* As the library wants them; tls is filled in for it, and must outlive *ret. */
void page_server_options_library(const struct page_server_options *o, struct decant_tls *tls,
				 struct decant_page_server_options *ret);
void page_server_options_help(void);

#endif
