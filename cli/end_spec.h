/* SPDX-License-Identifier: MIT */
/*
 * The syntax of ends: "tcp:[::1]:9000", "mem:64M", "-", a path.
 * Not their opening (end_open.c): nothing here makes a system call.
 */
#ifndef CLI_END_SPEC_H
#define CLI_END_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum end_spec_kind {
	END_SPEC_PATH,        /* name, ./name, file:name */
	END_SPEC_STANDARD,    /* - */
	END_SPEC_FD,          /* fd:N */
	END_SPEC_TCP,         /* tcp:HOST:PORT */
	END_SPEC_TCP_LISTEN,  /* tcp-listen:[ADDR]:PORT */
	END_SPEC_UNIX,        /* unix:PATH */
	END_SPEC_UNIX_LISTEN, /* unix-listen:PATH */
	END_SPEC_MEMORY,      /* mem:SIZE */
	END_SPEC_NULL,        /* null: */
	END_SPEC_ZERO,        /* zero:[SIZE] */
};

/* Longest host name of the DNS, and the port's digits. */
#define END_SPEC_HOST_MAX 255
#define END_SPEC_UNIX_MAX 107

#define END_SPEC_NO_SIZE UINT64_MAX

struct end_spec {
	enum end_spec_kind kind;
	const char *text;      /* as it was given; not ours */
	const char *path;      /* PATH, UNIX, UNIX_LISTEN: points into text */
	int fd;                /* FD; STANDARD: 0 or 1 */
	uint64_t size_bytes;   /* MEMORY, ZERO; END_SPEC_NO_SIZE: none */
	uint16_t port;         /* TCP, TCP_LISTEN */
	char host[END_SPEC_HOST_MAX + 1]; /* without brackets; "" with TCP_LISTEN: loopback */
};

/*
 * Parse text, which must outlive *ret.  sink: which side it stands on (null:
 * is a sink only, zero: a source only).  0, or -EINVAL with a sentence.  Pure.
 */
int end_spec_parse(const char *text, bool sink, struct end_spec *ret, struct err *reterr);

/* TCP and AF_UNIX in all their forms. */
bool end_spec_is_socket(const struct end_spec *spec);

#endif
