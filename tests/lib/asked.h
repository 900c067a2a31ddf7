/* SPDX-License-Identifier: MIT */
/*
 * Questions to plan/, of ends that are made by hand: no descriptor stands behind them.
 * Not ends that were learned: see lib/said.h.
 */
#ifndef LIB_ASKED_H
#define LIB_ASKED_H

#include <errno.h>

#include "plan/plan.h"

#define KIB 1024ull
#define MIB (1024 * KIB)

/* Sources, ... */
static const struct end file = { .kind = DECANT_END_FILE, .side = END_SOURCE, .fd = 3,
	.io_fd = 3, .size = MIB, .learned = true, .seekable = true, .cached_fs = true,
	.dio_align = 512, .dio_mem_align = 4 };
static const struct end sealed = { .kind = DECANT_END_FILE, .side = END_SOURCE, .fd = 3,
	.io_fd = 3, .size = MIB, .learned = true, .seekable = true, .immutable = "it is sealed" };
static const struct end wrong = { .kind = DECANT_END_FILE, .side = END_SOURCE, .fd = 3,
	.learned = true, .wrong = "it is a teapot", .wrong_errno = -EBADF };
static const struct end memory = { .kind = DECANT_END_MEMORY, .side = END_SOURCE, .fd = -1,
	.io_fd = -1, .size = MIB, .learned = true };
static const struct end process = { .kind = DECANT_END_PROCESS, .side = END_SOURCE, .fd = -1,
	.io_fd = -1, .learned = true };
static const struct end from_pipe = { .kind = DECANT_END_PIPE, .side = END_SOURCE, .fd = 3,
	.io_fd = 3, .learned = true };
static const struct end from_tcp = { .kind = DECANT_END_SOCKET, .side = END_SOURCE, .fd = 3,
	.io_fd = 3, .learned = true, .tcp = true, .nonblock = true };
/* ... and sinks. */
static const struct end tcp = { .kind = DECANT_END_SOCKET, .side = END_SINK, .fd = 4,
	.io_fd = 4, .learned = true, .tcp = true, .nonblock = true };
static const struct end lo = { .kind = DECANT_END_SOCKET, .side = END_SINK, .fd = 4,
	.io_fd = 4, .learned = true, .tcp = true, .nonblock = true, .local = true };
static const struct end blocking = { .kind = DECANT_END_SOCKET, .side = END_SINK, .fd = 4,
	.io_fd = 4, .learned = true, .tcp = true };
static const struct end unix_sock = { .kind = DECANT_END_SOCKET, .side = END_SINK, .fd = 4,
	.io_fd = 4, .learned = true, .unix_stream = true, .nonblock = true, .local = true };
static const struct end to_pipe = { .kind = DECANT_END_PIPE, .side = END_SINK, .fd = 4,
	.io_fd = 4, .learned = true };
static const struct end to_file = { .kind = DECANT_END_FILE, .side = END_SINK, .fd = 4,
	.io_fd = 4, .learned = true, .seekable = true, .dio_align = 512, .cached_fs = true,
	.ino = 7 };
static const struct end to_null = { .kind = DECANT_END_NULL, .side = END_SINK, .fd = -1,
	.io_fd = -1, .learned = true };
static const struct end to_memory = { .kind = DECANT_END_MEMORY, .side = END_SINK, .fd = -1,
	.io_fd = -1, .learned = true, .size = MIB };
static const struct end to_other = { .kind = DECANT_END_FD, .side = END_SINK, .fd = 4,
	.io_fd = 4, .learned = true };

struct query asked(const struct end *from, const struct end *to, uint64_t len);
/* The name of the route that is chosen under these facts; NULL: none. */
const char *asked_choice(const struct cost_table *costs, struct query q, const char *mask);
/* A point: these words are in the text. */
void asked_says(const char *text, const char *words);

#endif
