/* SPDX-License-Identifier: MIT */
#include "lib/sink.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/kit.h"

#define SINK_CHUNK (UINT64_C(256) << 10)
#define SINK_WAIT_MS 10000

const char *const sink_names[SINK_KINDS] = { "loopback", "veth", "slow-veth",	"unix",	  "pipe",
					     "fifo",	 "file", "direct-file", "memory", "null" };

bool sink_is_stream(enum sink_kind kind)
{
	return kind <= SINK_FIFO;
}

static void sink_open_file(struct sink *s)
{
	char *path;

	s->fd = fs_file(s->fs, &path);
	if (s->kind == SINK_DIRECT) {
		close(s->fd);
		s->fd = kit_must(open(path, O_RDWR | O_DIRECT | O_CLOEXEC));
	}
	unlink(path);
	free(path);
	s->end = decant_file(s->fd, 0);
}

void sink_open(struct sink *ret, enum sink_kind kind, enum fs_kind fs, uint64_t offset,
	       uint64_t len, const struct pair_options *options)
{
	struct sink *s = ret;

	*s = (struct sink){ .kind = kind, .fs = fs, .offset = offset, .len = len, .fd = -1 };
	s->pair.in = s->pair.out = -1;
	if (sink_is_stream(kind)) {
		pair_open(&s->pair, (enum pair_kind)kind, options);
		s->end = pair_is_pipe((enum pair_kind)kind) ? decant_pipe(s->pair.out)
							    : decant_socket(s->pair.out);
	} else if (kind == SINK_FILE || kind == SINK_DIRECT) {
		sink_open_file(s);
	} else if (kind == SINK_MEMORY) {
		s->addr = calloc(1, len ? len : 1);
		s->end = decant_memory(s->addr, len);
	} else {
		s->end = decant_null();
	}
}

uint64_t sink_drain(struct sink *s, uint64_t max, int wait_ms)
{
	uint64_t done = 0;

	if (!sink_is_stream(s->kind) || s->ended)
		return 0;
	if (!s->buf)
		s->buf = malloc(SINK_CHUNK);
	while (done < max) {
		uint64_t want = max - done < SINK_CHUNK ? max - done : SINK_CHUNK;
		int64_t n = pair_read(&s->pair, s->buf, want, done ? 0 : wait_ms);

		if (n < 0)
			s->ended = true;
		if (n <= 0)
			break;
		pattern_check(&s->report, s->buf, (uint64_t)n, s->offset + s->got, PATTERN_OLD);
		s->got += (uint64_t)n;
		done += (uint64_t)n;
	}
	return done;
}

void sink_finish(struct sink *s, uint64_t bytes)
{
	if (sink_is_stream(s->kind)) {
		if (!pair_is_pipe((enum pair_kind)s->kind))
			shutdown(s->pair.out, SHUT_WR);
		close(s->pair.out);
		s->pair.out = -1;
		while (sink_drain(s, SINK_CHUNK, SINK_WAIT_MS))
			;
	} else if (s->kind == SINK_FILE || s->kind == SINK_DIRECT) {
		int flags = fcntl(s->fd, F_GETFL);

		kit_must(fcntl(s->fd, F_SETFL, flags & ~O_DIRECT));
		s->got = pattern_check_file(&s->report, s->fd, 0, bytes, s->offset, PATTERN_OLD);
	} else if (s->kind == SINK_MEMORY) {
		pattern_check(&s->report, s->addr, bytes, s->offset, PATTERN_OLD);
		s->got = bytes;
	} else {
		s->got = bytes;
	}
}

void sink_close(struct sink *s)
{
	pair_close(&s->pair);
	if (s->fd >= 0)
		close(s->fd);
	free(s->addr);
	free(s->buf);
}
