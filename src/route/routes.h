/* SPDX-License-Identifier: MIT */
/*
 * The names of all routes, for table.c and for tests of a single one.
 * Not the order in which they are tried: that is table.c's.
 *
 * Entries whose pairs of ends are disjoint may carry one name ("splice" is one
 * word for the user and one mechanism, but file -> pipe promises something
 * else than pipe -> file); the comment says which pairs an entry is for.
 */
#ifndef ROUTE_ROUTES_H
#define ROUTE_ROUTES_H

#include "route/route.h"

/* To sockets. */
extern const struct route route_map_zc;         /* file */
extern const struct route route_map_msgzc;      /* file */
extern const struct route route_map_send;       /* file */
extern const struct route route_read_zc;        /* file, pipe, socket, process */
extern const struct route route_direct_zc;      /* file */
extern const struct route route_direct_splice;  /* file */
extern const struct route route_read_send;      /* anything */
extern const struct route route_clone_sendfile; /* file */
extern const struct route route_sendfile;       /* file */
extern const struct route route_splice;         /* file, pipe, socket */
extern const struct route route_zc;             /* memory */
extern const struct route route_msgzc;          /* memory */
extern const struct route route_send;           /* memory */

/* To files. */
extern const struct route route_reflink;        /* file */
extern const struct route route_copy_range;     /* file */
extern const struct route route_direct;         /* file */
extern const struct route route_direct_memory;  /* "direct": memory */
extern const struct route route_write;          /* memory; to pipes too */
extern const struct route route_splice_file;    /* "splice": pipe */
extern const struct route route_recv_splice;    /* socket */
extern const struct route route_recv_direct;    /* socket */

/* To pipes. */
extern const struct route route_vmsplice;       /* memory */
extern const struct route route_map_write;      /* file */
extern const struct route route_direct_splice_pipe; /* "direct-splice": file */
extern const struct route route_splice_pipe;    /* "splice": file */
extern const struct route route_splice_stream;  /* "splice": pipe, socket */

/* To memory and to null. */
extern const struct route route_read_memory;
extern const struct route route_null;

/* Every pair that is left. */
extern const struct route route_read_write;

#endif
