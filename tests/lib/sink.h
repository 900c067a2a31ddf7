/* SPDX-License-Identifier: MIT */
/*
 * Sinks that check what comes out of them, read at the test's own pace.
 * Not readers by themselves: nothing is read before sink_drain().
 */
#ifndef LIB_SINK_H
#define LIB_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "decant.h"
#include "lib/fs.h"
#include "lib/net.h"
#include "lib/pattern.h"

enum sink_kind {
	SINK_LOOPBACK, SINK_VETH, SINK_SLOW, SINK_UNIX, SINK_PIPE, SINK_FIFO, /* as pair_kind */
	SINK_FILE,
	SINK_DIRECT, /* a file whose descriptor is O_DIRECT */
	SINK_MEMORY,
	SINK_NULL,
	SINK_KINDS
};

extern const char *const sink_names[SINK_KINDS];

struct sink {
	enum sink_kind kind;
	enum fs_kind fs;
	uint64_t offset;              /* of the pattern's first byte */
	struct decant_end end;
	struct pattern_report report; /* of what was read so far */
	uint64_t got;
	bool ended;                   /* the stream's end was read */
	/* its own */
	struct pair pair;
	int fd;
	unsigned char *addr, *buf;
	uint64_t len;
};

/* offset: of the pattern's byte that must arrive first; len: to expect. */
void sink_open(struct sink *ret, enum sink_kind kind, enum fs_kind fs, uint64_t offset,
	       uint64_t len, const struct pair_options *options);
bool sink_is_stream(enum sink_kind kind);
/* Streams: read and check up to max bytes, waiting wait_ms for the first. */
uint64_t sink_drain(struct sink *s, uint64_t max, int wait_ms);
/*
 * After ENDED: close the sending side, read all that is left (streams), or
 * check the first `bytes` bytes (files, memory).
 */
void sink_finish(struct sink *s, uint64_t bytes);
void sink_close(struct sink *s);

#endif
